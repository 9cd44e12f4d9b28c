package handlers

import (
	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// syncRun is where the page of an instance shows how the sync of its databases goes.
const syncRun = "sync-run"

// syncInstance begins to list and measure the databases, or joins who does.
func (h *handlers) syncInstance(c echo.Context) error {
	instance, err := h.instanceHeadOf(c)
	auditTarget(c, instance.ID, instance.Name)
	if err != nil {
		return err
	}
	run, err := h.Collect.StartSync(c.Request().Context(), requester(c), instance.ID)
	if err != nil {
		return err
	}
	return h.follow(c, views.InstancePath(instance.ID), instance, run)
}

// syncBar is the newest sync of the instance, for a page or for the bar alone: other fragments have none.
func (h *handlers) syncBar(c echo.Context, instance models.Instance) (views.RunBar, error) {
	bar := views.RunBar{Kind: models.RunDatabases, Path: views.InstancePath(instance.ID)}
	if target := c.Request().Header.Get("HX-Target"); target != "" && target != syncRun {
		return bar, nil
	}
	run, err := h.Store.NewestSync(c.Request().Context(), instance.ID)
	return h.barOf(c, bar, instance, run, err)
}

// reloadsWith is how often a browser without scripts loads a page with the bar again; 0: never.
func reloadsWith(bar views.RunBar) int {
	if bar.Run == nil || bar.Run.Ended() {
		return 0
	}
	return reloadSeconds
}

// synced is what a sync did, and whether a part of it is missing.
func synced(p views.Page, engine models.Engine, run models.Run) string {
	notice := "notice.synced"
	if !run.Receipt.Complete {
		notice = "notice.synced_incomplete"
	}
	return p.In(engine, notice, "Name", run.InstanceName)
}
