package handlers

import (
	"github.com/labstack/echo/v4"

	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/views"
)

// syncRun is the element with the progress of a sync on the page of an instance.
const syncRun = "sync-run"

// syncInstance requests a sync of an instance, or joins a running one.
func (h *handlers) syncInstance(c echo.Context) error {
	instance, err := h.instanceHeadOf(c)
	auditTarget(c, instance.ID, instance.Name)
	if err != nil {
		return err
	}
	run, err := h.Runs.Request(c.Request().Context(), jobs.Databases(requester(c), instance.ID))
	if err != nil {
		return err
	}
	return h.followRun(c, views.InstancePath(instance.ID), instance, run)
}

// syncBar returns the bar with the newest sync of the instance. Only the whole page and the bar itself need it; for
// other fragments it is empty.
func (h *handlers) syncBar(c echo.Context, instance models.Instance) (views.RunBar, error) {
	bar := views.RunBar{Kind: models.RunDatabases, Path: views.InstancePath(instance.ID)}
	if target := c.Request().Header.Get("HX-Target"); target != "" && target != syncRun {
		return bar, nil
	}
	run, err := h.Store.NewestSync(c.Request().Context(), instance.ID)
	return h.barWith(c, bar, instance, run, err)
}

// reloadInterval returns after how many seconds a browser without scripts reloads a page with the bar; 0: never.
func reloadInterval(bar views.RunBar) int {
	if bar.Run == nil || bar.Run.Ended() {
		return 0
	}
	return reloadSeconds
}

// syncNotice returns the notice about a finished sync.
func syncNotice(p views.Page, engine models.Engine, run models.Run) string {
	notice := "notice.synced"
	if !run.Receipt.Complete {
		notice = "notice.synced_incomplete"
	}
	return p.In(engine, notice, "Name", run.InstanceName)
}
