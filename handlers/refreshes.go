package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// refreshJSON is one run as it is now. Members that do not apply are null.
type refreshJSON struct {
	ID           int64            `json:"id"`
	InstanceID   int64            `json:"instance_id"`
	InstanceName string           `json:"instance_name"`
	DatabaseName *string          `json:"database_name"` // null: all databases of the instance
	Kind         models.RunKind   `json:"kind"`
	Status       models.RunStatus `json:"status"`
	Phase        *models.RunPhase `json:"phase"`       // null unless it is running
	TablesSeen   *int64           `json:"tables_seen"` // null: none so far
	ElapsedMS    int64            `json:"elapsed_ms"`  // since it started, or as long as it ran
	RequestedBy  *string          `json:"requested_by"`
	RequestedAt  string           `json:"requested_at"`
	StartedAt    *string          `json:"started_at"`
	EndedAt      *string          `json:"ended_at"`
	Error        *runErrorJSON    `json:"error"`   // null unless it failed
	Receipt      *runReceiptJSON  `json:"receipt"` // null unless it succeeded
}

// runErrorJSON is what the answer would have been to somebody who waited.
type runErrorJSON struct {
	Code    models.Code    `json:"code"`
	Message string         `json:"message"`
	Extra   map[string]any `json:"extra,omitempty"`
}

type runReceiptJSON struct {
	receiptJSON
	CollectedAt  string `json:"collected_at"`
	Complete     bool   `json:"complete"`
	KeptCount    int64  `json:"kept_count"`
	HiddenCount  int64  `json:"hidden_count"`
	MissingGrant string `json:"missing_grant,omitempty"`
}

func (h *handlers) newRefresh(lang string, r models.Run) refreshJSON {
	out := refreshJSON{
		ID: r.ID, InstanceID: r.InstanceID, InstanceName: r.InstanceName, DatabaseName: orNull(r.DatabaseName), Kind: r.Kind,
		Status: r.Status, TablesSeen: r.TablesSeen, ElapsedMS: r.Elapsed(h.now()).Milliseconds(),
		RequestedBy: orNull(r.Username), RequestedAt: timestamp(r.RequestedAt), StartedAt: moment(r.StartedAt), EndedAt: moment(r.EndedAt),
	}
	if r.Phase != "" {
		out.Phase = &r.Phase
	}
	if r.Failure != nil {
		failure := classify(r.Failure)
		out.Error = &runErrorJSON{Code: failure.Code, Message: views.Failed(lang, failure), Extra: explained(lang, failure.Extra)}
	}
	if r.Status == models.RunSucceeded {
		out.Receipt = &runReceiptJSON{
			receiptJSON: *newReceipt(r.Receipt), CollectedAt: timestamp(r.Receipt.CollectedAt), Complete: r.Receipt.Complete,
			KeptCount: r.Receipt.Kept, HiddenCount: r.Receipt.Hidden, MissingGrant: r.Receipt.Grant,
		}
	}
	return out
}

// asker is who asks for what this request starts.
func asker(c echo.Context) models.Asker {
	user := currentUser(c)
	return models.Asker{UserID: &user.ID, Username: user.Username}
}

// refreshTables collects the database's tables now and answers with the new page or, to who prefers that, with the run.
func (h *handlers) refreshTables(c echo.Context, q models.TableQuery, instanceID int64, name string, numbered bool) error {
	if prefers(c.Request(), respondAsync) {
		return h.startRefresh(c, instanceID, name)
	}
	receipt, err := h.Collect.Refresh(c.Request().Context(), asker(c), instanceID, name)
	if id, goesOn := models.AsError(err).Extra["refresh_id"].(int64); err != nil && goesOn {
		locateRefresh(c, id)
	}
	if err != nil {
		return err
	}
	page, err := h.tablePage(c, q, instanceID, name)
	if err != nil {
		return err
	}
	out := newTableSizes(q, page, numbered)
	out.receiptJSON = newReceipt(receipt)
	return h.ok(c, out, "api.tables_refreshed")
}

func (h *handlers) startRefresh(c echo.Context, instanceID int64, name string) error {
	run, err := h.Collect.StartRefresh(c.Request().Context(), asker(c), instanceID, name)
	if err != nil {
		return err
	}
	locateRefresh(c, run.ID)
	c.Response().Header().Set("Preference-Applied", respondAsync)
	return h.answer(c, http.StatusAccepted, h.newRefresh(lang(c), run), "refresh.started")
}

func locateRefresh(c echo.Context, id int64) {
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/refreshes/"+strconv.FormatInt(id, 10))
}

// runOf is the run of the path, as it is now.
func (h *handlers) runOf(c echo.Context) (models.Run, error) {
	id, err := pathID(c, "refresh.not_found")
	if err != nil {
		return models.Run{}, err
	}
	return h.Collect.Run(c.Request().Context(), id)
}

func (h *handlers) apiRefresh(c echo.Context) error {
	run, err := h.runOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, h.newRefresh(lang(c), run), "refresh.read")
}

// apiCancelRefresh ends a run, for who started it or an admin.
func (h *handlers) apiCancelRefresh(c echo.Context) error {
	run, err := h.runOf(c)
	if err != nil {
		return err
	}
	about(c, run.InstanceID, databaseTitle(run.InstanceName, run.DatabaseName))
	if !mayCancel(currentUser(c), run) {
		return forbidden(models.PermAdmin)
	}
	before := run.Status
	if run, err = h.Collect.Cancel(c.Request().Context(), run.ID); err != nil {
		return err
	}
	return h.ok(c, h.newRefresh(lang(c), run), cancelMessage(before, run))
}

func mayCancel(user *models.User, run models.Run) bool {
	return user.Role.May(models.PermAdmin) || run.UserID != nil && *run.UserID == user.ID
}

// cancelMessage says what came of cancelling a run whose status was before.
func cancelMessage(before models.RunStatus, run models.Run) string {
	switch {
	case !run.Ended():
		return "refresh.cancelling"
	case run.Status == models.RunCancelled && before != run.Status:
		return "refresh.cancelled"
	}
	return "refresh.ended"
}

// databaseTitle is what the audit log calls a database.
func databaseTitle(instance, database string) string {
	if database == "" {
		return instance
	}
	return instance + " / " + database
}

const respondAsync = "respond-async"

// prefers reports whether the request states a preference (RFC 7240), without a value.
func prefers(r *http.Request, wanted string) bool {
	for _, line := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(unquoted(line), ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), wanted) {
				return true
			}
		}
	}
	return false
}

// unquoted is a header line without what stands in quotes.
func unquoted(line string) string {
	var out strings.Builder
	quoted, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
			out.WriteRune(r)
		case !quoted:
			out.WriteRune(r)
		}
	}
	return out.String()
}
