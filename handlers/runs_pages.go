package handlers

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var runLimits = []int{20, 50, 100}

// reloadSeconds is how often a browser without scripts reloads a page with an unfinished run.
const reloadSeconds = 2

// runsPage shows the runs of an instance.
func (h *handlers) runsPage(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	m := views.RunList{Instance: instance, Listing: bindListing(c, nil, "at", true, runLimits)}
	if m.Schedule, err = h.scheduleShown(c, instance); err != nil {
		return err
	}
	if m.Bar, err = h.syncBar(c, instance); err != nil {
		return err
	}
	m.Path, m.Target = views.RunsPath(instance.ID), "run-list"
	keepFilter(c, &m.Listing, "database", "kind", "status")
	m.Query = bindRunFilter(c, instance.ID, "database")
	m.Query.Limit = m.Limit
	p := h.pageWithNotice(c)
	p.Reload = reloadInterval(m.Bar)
	page, err := clampedPage(&m.Listing, func() (models.RunPage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.Runs(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	if err != nil {
		return err
	}
	m.Shown = len(page.Runs)
	for _, run := range page.Runs {
		state, err := h.runState(c, run, instance.DBType)
		if err != nil {
			return err
		}
		m.Runs = append(m.Runs, state)
		if !state.Ended() {
			p.Reload = reloadSeconds
		}
	}
	return h.render(c, http.StatusOK, p, screen{
		title:     p.T("runs.title") + " · " + instance.Name,
		body:      views.Runs(p, m),
		fragments: []string{"instance-facts", m.Target},
	})
}

// bindRunFilter reads the filter of a list of runs. An unknown kind or status is ignored.
func bindRunFilter(c echo.Context, instanceID int64, database string) models.RunQuery {
	q := models.RunQuery{InstanceID: instanceID, Database: c.QueryParam(database)}
	if kind := models.RunKind(c.QueryParam("kind")); slices.Contains(models.RunKinds, kind) {
		q.Kind = kind
	}
	if status := models.RunStatus(c.QueryParam("status")); slices.Contains(models.RunStatuses, status) {
		q.Status = status
	}
	return q
}

// runState returns the current state of a run for pages.
func (h *handlers) runState(c echo.Context, run models.Run, engine models.Engine) (views.RunState, error) {
	run = h.Runs.Now(run)
	state := views.RunState{Run: run, Engine: engine}
	if run.Failure != nil {
		e := classify(run.Failure)
		f := failure(c, h.page(c), e, kinds[e.Code], "")
		f.Number, f.Retry = views.ErrorNumber(lang(c), engine, e), ""
		state.Failure = &f
	}
	var err error
	state.Remaining, err = h.remaining(c.Request().Context(), run)
	return state, err
}

// runPage shows the receipt of a run.
func (h *handlers) runPage(c echo.Context) error {
	run, instance, err := h.runWithInstance(c)
	if err != nil {
		return err
	}
	state, err := h.runState(c, run, instance.DBType)
	if err != nil {
		return err
	}
	p := h.pageWithNotice(c)
	if !state.Ended() {
		p.Reload = reloadSeconds
	}
	s := screen{title: p.T("runs.one", "ID", state.ID), body: views.Run(p, state), fragments: []string{"run-detail"}}
	if was := c.QueryParam("while"); state.Ended() && was != "" && was != string(state.Status) {
		c.Response().Header().Set("HX-Retarget", "#run-panel")
		s.fragments = nil
	}
	return h.render(c, http.StatusOK, p, s)
}

// runWithInstance returns the run of the path and its instance, which must not be deleted.
func (h *handlers) runWithInstance(c echo.Context) (models.Run, models.Instance, error) {
	run, err := h.runOf(c)
	if err != nil {
		return run, models.Instance{}, err
	}
	instance, err := h.Store.InstanceHead(c.Request().Context(), run.InstanceID)
	return run, instance, err
}

// runProgress updates the progress bar of a run and, when the run has ended, replaces it.
func (h *handlers) runProgress(c echo.Context) error {
	run, instance, err := h.runWithInstance(c)
	if err != nil {
		return err
	}
	state, err := h.runState(c, run, instance.DBType)
	if err != nil {
		return err
	}
	p := h.page(c)
	if !state.Ended() {
		return h.fragment(c, http.StatusOK, views.RunProgress(p, state, c.QueryParam("said") != state.Stage()))
	}
	c.Response().Header().Set("HX-Retarget", "#"+state.BarID())
	c.Response().Header().Set("HX-Reswap", "innerHTML")
	return h.answerRunEnded(c, p, state)
}

// answerRunEnded answers with the bar of an ended run and a toast. What the run changed reloads itself.
func (h *handlers) answerRunEnded(c echo.Context, p views.Page, state views.RunState) error {
	var notice string
	switch {
	case state.Kind == models.RunDatabases:
		// The inventory may have changed even if the run failed.
		c.Response().Header().Set("HX-Trigger", inventoryChanged)
		notice = syncNotice(p, state.Engine, state.Run)
	case state.Status == models.RunSucceeded:
		c.Response().Header().Set("HX-Trigger", "tables-changed")
		notice = refreshNotice(p, state.Receipt)
	}
	return h.fragment(c, http.StatusOK, views.RunEnded(p, state, notice))
}

// cancelRun cancels a run. Only its requester and admins may.
func (h *handlers) cancelRun(c echo.Context) error {
	run, before, err := h.cancel(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, "run-changed", previousPage(c), h.page(c).T(cancelMessage(before, run)))
}

// tablesReceipt redirects to the run that took the snapshot of a database, or to all of its runs if that one is
// unknown.
func (h *handlers) tablesReceipt(c echo.Context) error {
	d, err := h.databaseOfPath(c)
	if err != nil {
		return err
	}
	run, err := h.Store.LastGoodRun(c.Request().Context(), d.header.ID)
	if err == nil && d.header.CollectedAt != nil && run.Receipt.CollectedAt.Equal(*d.header.CollectedAt) {
		return c.Redirect(http.StatusSeeOther, views.RunPath(run.ID))
	}
	if err != nil && !models.Is(err, models.CodeNotFound) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.RunsOfPath(d.instance.ID, d.header.Name))
}

// runBar returns the bar below the tables of a database, with its unfinished or else its last run.
func (h *handlers) runBar(c echo.Context, m views.TableSizes) (views.RunBar, error) {
	run, err := h.Store.RunOfTables(c.Request().Context(), m.Instance.ID, m.Name)
	return h.barWith(c, views.RunBar{Kind: models.RunTables}, m.Instance, run, err)
}

// barWith returns the bar with the run, unless err says that there is none.
func (h *handlers) barWith(
	c echo.Context, bar views.RunBar, instance models.Instance, run models.Run, err error,
) (views.RunBar, error) {
	if models.Is(err, models.CodeNotFound) {
		return bar, nil
	}
	if err != nil {
		return bar, err
	}
	state, err := h.runState(c, run, instance.DBType)
	bar.Run = &state
	return bar, err
}

// followedRun returns the run that a browser without scripts is following on the page of a database, or of an instance
// if database is empty; nil if there is none.
func (h *handlers) followedRun(c echo.Context, instanceID int64, database string) *models.Run {
	id, err := strconv.ParseInt(c.QueryParam("run"), 10, 64)
	if err != nil || isHTMX(c) {
		return nil
	}
	run, err := h.Runs.Run(c.Request().Context(), id)
	if err != nil || run.InstanceID != instanceID || run.DatabaseName != database {
		return nil
	}
	return &run
}

// followRun answers a request for a run with its progress: at the path, or on the page of the run if that was asked
// for.
func (h *handlers) followRun(c echo.Context, path string, instance models.Instance, run models.Run) error {
	switch {
	case posted(c, "show") == "run":
		return h.redirectWithNotice(c, views.RunPath(run.ID), "")
	case !isHTMX(c):
		return h.redirectWithNotice(c, path+"?run="+strconv.FormatInt(run.ID, 10), "")
	}
	state, err := h.runState(c, run, instance.DBType)
	if err != nil {
		return err
	}
	p := h.page(c)
	if state.Ended() {
		return h.answerRunEnded(c, p, state)
	}
	c.Response().Header().Set("HX-Trigger", "run-begun")
	return h.fragment(c, http.StatusOK, views.RunStarted(p, views.RunBar{Kind: run.Kind, Path: path, Run: &state}))
}
