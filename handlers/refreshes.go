package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/collectors/jobs"
	"whalefall/models"
	"whalefall/views"
)

// refreshJSON is the current state of a run. Members that do not apply are null.
type refreshJSON struct {
	ID           int64            `json:"id"`
	InstanceID   int64            `json:"instance_id"`
	InstanceName string           `json:"instance_name"`
	DatabaseName *string          `json:"database_name"` // null: all databases of the instance
	Kind         models.RunKind   `json:"kind"`
	Status       models.RunStatus `json:"status"`
	Phase        *models.RunPhase `json:"phase"`        // null unless running
	TablesSeen   *int64           `json:"tables_seen"`  // null: none so far
	TablesTotal  *int64           `json:"tables_total"` // null: unknown, or not known yet
	ElapsedMS    int64            `json:"elapsed_ms"`   // since it started, or as long as it ran
	RemainingMS  *int64           `json:"remaining_ms"` // estimate; null: unknown
	ConnectingMS *int64           `json:"connecting_ms"`
	QueryingMS   *int64           `json:"querying_ms"`
	StoringMS    *int64           `json:"storing_ms"`
	Attempt      int              `json:"attempt"` // 1, or one more than that of the orphaned run it replaces
	RequestedBy  *string          `json:"requested_by"`
	RequestedAt  string           `json:"requested_at"`
	StartedAt    *string          `json:"started_at"`
	EndedAt      *string          `json:"ended_at"`
	Error        *runErrorJSON    `json:"error"`   // null unless failed
	Receipt      *runReceiptJSON  `json:"receipt"` // null unless succeeded
}

// runErrorJSON is the error that a waiting client would have got.
type runErrorJSON struct {
	Code    models.Code    `json:"code"`
	Message string         `json:"message"`
	Extra   map[string]any `json:"extra,omitempty"`
}

type runReceiptJSON struct {
	receiptJSON
	CollectedAt     string  `json:"collected_at"`
	Complete        bool    `json:"complete"`
	Proof           *string `json:"proof"` // why the result counts as complete, or does not; null: unknown
	KeptCount       int64   `json:"kept_count"`
	LockedCount     int64   `json:"locked_count"`
	HiddenCount     int64   `json:"hidden_count"`
	FailedCount     int64   `json:"failed_count"`
	DuplicateCount  int64   `json:"duplicate_count"`
	ServerPeakBytes *int64  `json:"server_peak_bytes"` // null: unknown
	MissingGrant    string  `json:"missing_grant,omitempty"`
}

// newRefresh returns the current state of a run with its estimated remaining time.
func (h *handlers) newRefresh(c echo.Context, r models.Run) (refreshJSON, error) {
	out := refreshJSON{
		ID:           r.ID,
		InstanceID:   r.InstanceID,
		InstanceName: r.InstanceName,
		DatabaseName: orNull(r.DatabaseName),
		Kind:         r.Kind,
		Status:       r.Status,
		TablesSeen:   r.TablesSeen,
		TablesTotal:  r.TablesTotal,
		ElapsedMS:    r.Elapsed(h.now()).Milliseconds(),
		ConnectingMS: r.ConnectingMS,
		QueryingMS:   r.QueryingMS,
		StoringMS:    r.StoringMS,
		Attempt:      max(1, r.Attempt),
		RequestedBy:  orNull(r.Username),
		RequestedAt:  timestamp(r.RequestedAt),
		StartedAt:    timestampOrNull(r.StartedAt),
		EndedAt:      timestampOrNull(r.EndedAt),
	}
	if r.Phase != "" {
		out.Phase = &r.Phase
	}
	if r.Failure != nil {
		failure := classify(r.Failure)
		out.Error = &runErrorJSON{
			Code:    failure.Code,
			Message: views.Failed(lang(c), failure),
			Extra:   readerOf(c).members(failure),
		}
	}
	if r.Status == models.RunSucceeded {
		out.Receipt = newRunReceipt(r.Receipt)
	}
	left, err := h.remaining(c.Request().Context(), r)
	if left != nil {
		ms := left.Milliseconds()
		out.RemainingMS = &ms
	}
	return out, err
}

// remaining estimates how long a run will still take; nil: unknown.
func (h *handlers) remaining(ctx context.Context, run models.Run) (*time.Duration, error) {
	var usual models.Usual
	var err error
	if run.Status == models.RunRunning {
		usual, err = h.Store.UsualOf(ctx, run)
	}
	return run.Remaining(h.now(), usual), err
}

func newRunReceipt(r models.Receipt) *runReceiptJSON {
	return &runReceiptJSON{
		receiptJSON:     *newReceipt(r),
		CollectedAt:     timestamp(r.CollectedAt),
		Complete:        r.Complete,
		Proof:           orNull(string(r.Proof)),
		KeptCount:       r.Kept,
		LockedCount:     r.Locked,
		HiddenCount:     r.Hidden,
		FailedCount:     r.Failed,
		DuplicateCount:  r.Duplicates,
		ServerPeakBytes: r.ServerBytes,
		MissingGrant:    r.Grant,
	}
}

// requester returns the current user as the requester of a run.
func requester(c echo.Context) models.Requester {
	user := currentUser(c)
	return models.Requester{UserID: &user.ID, Username: user.Username}
}

// refreshTables collects the tables of a database and answers with the new page, or with the run if the client prefers
// not to wait.
func (h *handlers) refreshTables(
	c echo.Context, q models.TableQuery, instanceID int64, name string, numbered bool,
) error {
	if prefers(c.Request(), respondAsync) {
		return h.startRefresh(c, instanceID, name)
	}
	outcome, err := h.Runs.RequestAndWait(c.Request().Context(), jobs.Tables(requester(c), instanceID, name))
	if err != nil {
		if id := models.AsError(err).RefreshID; id != 0 {
			locateRefresh(c, id)
		}
		return err
	}
	q.InstanceID, q.Database = instanceID, name
	page, err := h.Store.TableSizes(c.Request().Context(), q)
	if err != nil {
		return err
	}
	out := newTableSizes(q, page, numbered)
	out.receiptJSON = newReceipt(outcome.Receipt)
	return h.ok(c, out, "api.tables_refreshed")
}

func (h *handlers) startRefresh(c echo.Context, instanceID int64, name string) error {
	run, err := h.Runs.Request(c.Request().Context(), jobs.Tables(requester(c), instanceID, name))
	if err != nil {
		return err
	}
	out, err := h.newRefresh(c, run)
	if err != nil {
		return err
	}
	locateRefresh(c, run.ID)
	c.Response().Header().Set("Preference-Applied", respondAsync)
	return h.answer(c, http.StatusAccepted, out, "refresh.started")
}

func locateRefresh(c echo.Context, id int64) {
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/refreshes/"+strconv.FormatInt(id, 10))
}

// runOf returns the run of the path in its current state.
func (h *handlers) runOf(c echo.Context) (models.Run, error) {
	id, err := pathID(c, "refresh.not_found")
	if err != nil {
		return models.Run{}, err
	}
	return h.Runs.Run(c.Request().Context(), id)
}

// apiRefreshes lists the runs of one instance or of all.
func (h *handlers) apiRefreshes(c echo.Context) error {
	instanceID, err := h.runsOf(c)
	if err != nil {
		return err
	}
	q := bindRunFilter(c, instanceID, "database_name")
	q.Limit, q.Offset = bindPage(c)
	page, err := h.Store.Runs(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]refreshJSON, len(page.Runs))
	for i, run := range page.Runs {
		if items[i], err = h.newRefresh(c, h.Runs.Now(run)); err != nil {
			return err
		}
	}
	return h.ok(c, newPage(items, page.Total, q.Limit, q.Offset), "api.runs")
}

// runsOf returns the ID of the instance whose runs are requested by path or query, 0 for all.
func (h *handlers) runsOf(c echo.Context) (int64, error) {
	if c.Param("id") != "" {
		instance, err := h.instanceHeadOf(c)
		return instance.ID, err
	}
	if !c.QueryParams().Has("instance_id") {
		return 0, nil
	}
	id, err := bindInstanceID(c)
	if err != nil {
		return 0, err
	}
	instance, err := h.Store.InstanceHead(c.Request().Context(), id)
	return instance.ID, err
}

func (h *handlers) apiRefresh(c echo.Context) error {
	run, err := h.runOf(c)
	if err != nil {
		return err
	}
	out, err := h.newRefresh(c, run)
	if err != nil {
		return err
	}
	return h.ok(c, out, "refresh.read")
}

// apiCancelRefresh cancels a run. Only its requester and admins may.
func (h *handlers) apiCancelRefresh(c echo.Context) error {
	run, before, err := h.cancel(c)
	if err != nil {
		return err
	}
	out, err := h.newRefresh(c, run)
	if err != nil {
		return err
	}
	return h.ok(c, out, cancelMessage(before, run))
}

// cancel cancels the run of the path. It returns the run afterwards and its status before.
func (h *handlers) cancel(c echo.Context) (run models.Run, before models.RunStatus, err error) {
	if run, err = h.runOf(c); err != nil {
		return run, "", err
	}
	auditTarget(c, run.InstanceID, databaseTitle(run.InstanceName, run.DatabaseName))
	if !run.MayBeCancelledBy(currentUser(c)) {
		return run, "", forbidden(models.PermAdmin)
	}
	before = run.Status
	run, err = h.Runs.Cancel(c.Request().Context(), run.ID)
	return run, before, err
}

// cancelMessage returns the message key for a cancelled run with its status before.
func cancelMessage(before models.RunStatus, run models.Run) string {
	switch {
	case !run.Ended():
		return "refresh.cancelling"
	case run.Status == models.RunCancelled && before != run.Status:
		return "refresh.cancelled"
	}
	return "refresh.ended"
}

// databaseTitle returns what the audit log calls a database.
func databaseTitle(instance, database string) string {
	if database == "" {
		return instance
	}
	return instance + " / " + database
}

const respondAsync = "respond-async"

// prefers reports whether the request has a preference (RFC 7240) without a value.
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

// unquoted returns a header line without the content of quotes.
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

func (h *handlers) apiRefreshTables(c echo.Context) error {
	q, err := bindTableQuery(c)
	if err != nil {
		return err
	}
	name, err := databaseName(c)
	if err != nil {
		return err
	}
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return models.Invalid("field.bad_characters", "Field", "database_name")
	}
	instance, err := h.instanceHeadOf(c)
	if err != nil {
		auditTarget(c, instance.ID, "")
		return err
	}
	auditTarget(c, instance.ID, databaseTitle(instance.Name, name))
	return h.refreshTables(c, q, instance.ID, name, false)
}

func (h *handlers) apiRefreshTablesByID(c echo.Context) error {
	q, err := bindTablePageQuery(c)
	if err != nil {
		return err
	}
	d, err := h.databaseByID(c)
	auditTarget(c, d.instance.ID, d.title())
	if err != nil {
		return err
	}
	return h.refreshTables(c, q, d.instance.ID, d.header.Name, true)
}
