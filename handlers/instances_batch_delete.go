package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// maxBatchDelete is the largest number of instances that one request may delete.
const maxBatchDelete = 1000

// Deletion modes of the contract.
const (
	softDeletion = "soft" // to the recycle bin
	hardDeletion = "hard" // permanently
)

// deletionJSON is the result of deleting instances. An instance that was already in the recycle bin is in neither list
// of a soft deletion.
type deletionJSON struct {
	DeletedCount       int     `json:"deleted_count"`
	DeletionMode       string  `json:"deletion_mode"`
	DeletedInstanceIDs []int64 `json:"deleted_instance_ids"`
	MissingInstanceIDs []int64 `json:"missing_instance_ids"`
}

func newDeletion(d models.Deletion, mode string) deletionJSON {
	out := deletionJSON{
		DeletedCount: len(d.Deleted), DeletionMode: mode,
		DeletedInstanceIDs: []int64{}, MissingInstanceIDs: append([]int64{}, d.Missing...),
	}
	for _, i := range d.Deleted {
		out.DeletedInstanceIDs = append(out.DeletedInstanceIDs, i.ID)
	}
	return out
}

func (h *handlers) apiDeleteInstances(c echo.Context) error {
	ids, mode, err := bindDeletion(body(c))
	if err != nil {
		return err
	}
	remove, key := h.Store.DeleteInstances, "api.instances_deleted"
	if mode == hardDeletion {
		remove, key = h.Store.DestroyInstances, "api.instances_destroyed"
	}
	gone, err := remove(c.Request().Context(), ids)
	auditDeletion(c, mode, gone.Deleted)
	if err != nil {
		return err
	}
	return h.ok(c, newDeletion(gone, mode), key, "N", len(gone.Deleted))
}

// auditDeletion notes the deleted instances and the mode, which tells what can be restored.
func auditDeletion(c echo.Context, mode string, deleted []models.Instance) {
	var id int64
	names := make([]string, len(deleted))
	for i, instance := range deleted {
		names[i] = instance.Name
	}
	if len(deleted) == 1 {
		id = deleted[0].ID
	}
	auditTarget(c, id, mode+": "+strings.Join(names, ", "))
}

func bindDeletion(f fields) (ids []int64, mode string, err error) {
	mode = softDeletion
	if f.given("deletion_mode") {
		mode, _ = f["deletion_mode"].(string)
	}
	list, isList := f["instance_ids"].([]any)
	switch {
	case f.blank("instance_ids"), isList && len(list) == 0:
		return nil, "", models.Invalid("deletion.none_chosen")
	case !isList:
		return nil, "", models.Invalid("deletion.ids_invalid")
	case len(list) > maxBatchDelete:
		return nil, "", models.Invalid("deletion.too_many", "Limit", maxBatchDelete)
	}
	for _, one := range list {
		id, ok := integer(one)
		if !ok || id < 1 {
			return nil, "", models.Invalid("deletion.ids_invalid")
		}
		ids = append(ids, id)
	}
	if mode != softDeletion && mode != hardDeletion {
		return nil, "", models.Invalid("deletion.mode_invalid")
	}
	return ids, mode, nil
}

// submitInstanceDestroy permanently deletes an instance of the recycle bin.
func (h *handlers) submitInstanceDestroy(c echo.Context) error {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return err
	}
	auditTarget(c, id, "")
	gone, err := h.Store.DestroyDeletedInstance(c.Request().Context(), id)
	auditTarget(c, id, gone.Name)
	if err != nil {
		return err
	}
	return h.answerChanged(c, "instances-changed", views.BinPath, h.page(c).T("instances.destroyed", "Name", gone.Name))
}
