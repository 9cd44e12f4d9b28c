package handlers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// Limits of one batch of connection tests.
const (
	maxBatchTests    = 50
	batchTestsAtOnce = 8
	batchTestTimeout = 120 * time.Second // for all of them; the server ends an answer after 150 s
)

var errBatchTimeout = errors.New("the batch of connection tests took too long")

// batchTestJSON holds the results of a batch in the order of the request.
type batchTestJSON struct {
	Results []connectionResultJSON `json:"results"`
	Summary batchSummaryJSON       `json:"summary"`
}

type batchSummaryJSON struct {
	Total   int `json:"total"`
	Success int `json:"success"`
	Failed  int `json:"failed"`
}

// connectionResultJSON is the result of one test; a failure has the extra of a single test.
type connectionResultJSON struct {
	InstanceID      int64          `json:"instance_id"`
	InstanceName    *string        `json:"instance_name"`
	Success         bool           `json:"success"`
	Message         string         `json:"message"`
	Error           *string        `json:"error"` // the message again; null: it succeeded
	Version         *string        `json:"version"`
	DatabaseVersion *string        `json:"database_version"`
	MainVersion     *string        `json:"main_version"`
	DetailedVersion *string        `json:"detailed_version"`
	ErrorCode       *models.Code   `json:"error_code"`
	Extra           map[string]any `json:"extra,omitempty"`
}

func (h *handlers) apiBatchTest(c echo.Context) error {
	ids, err := bindBatchIDs(body(c))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(c.Request().Context(), batchTestTimeout, errBatchTimeout)
	defer cancel()
	out := batchTestJSON{Results: h.testAll(ctx, readerOf(c), ids)}
	out.Summary.Total = len(out.Results)
	var names []string
	for _, r := range out.Results {
		if r.Success {
			out.Summary.Success++
		}
		if r.InstanceName != nil {
			names = append(names, *r.InstanceName)
		}
	}
	out.Summary.Failed = out.Summary.Total - out.Summary.Success
	auditTarget(c, 0, strings.Join(names, ", "))
	return h.ok(c, out, "connections.tested")
}

// bindBatchIDs returns the IDs of the instances to test, without repetitions.
func bindBatchIDs(f fields) ([]int64, error) {
	list, isList := f["instance_ids"].([]any)
	switch {
	case !f.given("instance_ids"):
		return nil, models.Invalid("connections.ids_missing")
	case !isList:
		return nil, models.Invalid("connections.ids_not_integers")
	case len(list) == 0:
		return nil, models.Invalid("connections.ids_empty")
	}
	var ids []int64
	for _, one := range list {
		id, ok := integer(one)
		if !ok {
			return nil, models.Invalid("connections.ids_not_integers")
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(list) > maxBatchTests {
		return nil, models.Invalid("connections.too_many", "Limit", maxBatchTests)
	}
	return ids, nil
}

// testAll tests the instances, batchTestsAtOnce at a time, and returns when all are done. Tests that ctx interrupts or
// keeps from starting have failed with a timeout.
func (h *handlers) testAll(ctx context.Context, to reader, ids []int64) []connectionResultJSON {
	results := make([]connectionResultJSON, len(ids))
	turns := make(chan struct{}, batchTestsAtOnce)
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			results[i] = h.testOne(ctx, to, id)
		})
	}
	all.Wait()
	return results
}

func (h *handlers) testOne(ctx context.Context, to reader, id int64) connectionResultJSON {
	out := connectionResultJSON{InstanceID: id}
	// The name is useful even if no time is left for the test.
	instance, err := h.Store.InstanceHead(context.WithoutCancel(ctx), id)
	var v models.Version
	if err == nil {
		out.InstanceName = &instance.Name
		v, err = h.Collect.TestInstance(ctx, id)
	}
	if err != nil {
		h.connectionResultFailed(ctx, &out, to, err)
		return out
	}
	out.Success, out.Message = true, views.Message(to.lang, "api.connected_version", models.Args("Version", v.Full))
	out.Version, out.DatabaseVersion, out.MainVersion, out.DetailedVersion = &v.Full, &v.Full, &v.Main, &v.Detailed
	return out
}

// connectionResultFailed fills in what a single test would answer to err.
func (h *handlers) connectionResultFailed(ctx context.Context, out *connectionResultJSON, to reader, err error) {
	e := classify(connectionFailed(err))
	if ctx.Err() != nil && e.Code == models.CodeInternal {
		e = &models.Error{Code: models.CodeTimeout, Err: context.Cause(ctx)}
	}
	if e.Code == models.CodeInternal {
		h.Log.ErrorContext(ctx, "connection test failed", "instance_id", out.InstanceID, "error", err)
	}
	out.Message, out.ErrorCode, out.Extra = views.Failed(to.lang, e), &e.Code, to.members(e)
	out.Error = &out.Message
}
