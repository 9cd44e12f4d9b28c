package views

import (
	"encoding/json"
	"testing"
	"time"

	"whalefall/models"
)

func TestPage_Span(t *testing.T) {
	t.Parallel()

	for d, want := range map[time.Duration][2]string{
		0:                           {"0 秒", "0 s"},
		59999 * time.Millisecond:    {"59 秒", "59 s"},
		time.Minute:                 {"1 分 0 秒", "1 min 0 s"},
		61 * time.Minute:            {"1 小时 1 分", "1 h 1 min"},
		30*time.Hour + time.Second:  {"30 小时 0 分", "30 h 0 min"},
		time.Hour - time.Nanosecond: {"59 分 59 秒", "59 min 59 s"},
	} {
		for i, lang := range []string{Chinese, English} {
			if got := (Page{Lang: lang}).Span(d); got != want[i] {
				t.Errorf("%v in %s: %q, want %q", d, lang, got, want[i])
			}
		}
	}
}

func TestRunState_Progress(t *testing.T) {
	t.Parallel()

	n := func(v int64) *int64 { return &v }
	p := Page{Lang: Chinese}
	for _, c := range []struct {
		name                 string
		run                  models.Progress
		stage, counted, part string
	}{
		{"queued", models.Progress{Status: models.RunQueued}, "queued", "", ""},
		{"claimed, before its first phase", models.Progress{Status: models.RunRunning}, "queued", "", ""},
		{
			"total unknown",
			models.Progress{Status: models.RunRunning, Phase: models.PhaseQuerying, TablesSeen: n(12000)},
			"querying", "12,000", "",
		},
		{
			"total known",
			models.Progress{
				Status: models.RunRunning, Phase: models.PhaseQuerying, TablesSeen: n(12000), TablesTotal: n(100000),
			},
			"querying", "12,000 / 100,000", "12",
		},
		{
			"more tables than expected",
			models.Progress{Status: models.RunRunning, Phase: models.PhaseStoring, TablesSeen: n(12), TablesTotal: n(10)},
			"storing", "12", "100",
		},
		{
			"no tables",
			models.Progress{Status: models.RunRunning, Phase: models.PhaseStoring, TablesSeen: n(0), TablesTotal: n(0)},
			"storing", "0 / 0", "",
		},
	} {
		r := RunState{Run: models.Run{Progress: c.run}}
		if r.Stage() != c.stage || r.counted() != c.counted || r.part() != c.part {
			t.Errorf("%s: got stage %q, count %q, part %q, want %q, %q, %q",
				c.name, r.Stage(), r.counted(), r.part(), c.stage, c.counted, c.part)
		}
	}
	left := 2500 * time.Millisecond
	if text, reason := (RunState{Remaining: &left}).remains(p); text != "3 秒" || reason != "" {
		t.Errorf("got %q, %q, want 3 秒 and no reason", text, reason)
	}
	if text, reason := (RunState{}).remains(p); text != unknown || reason == "" {
		t.Errorf("got %q, %q, want %q and a reason", text, reason, unknown)
	}
}

func TestRunState_Receipt(t *testing.T) {
	t.Parallel()

	p := Page{Lang: English}
	r := RunState{Run: models.Run{Receipt: models.Receipt{
		Locked: 2, Failed: 1, Hidden: 1000, Complete: true, Proof: models.ProofCatalog,
	}}}
	const skipped = "2 locked · 1,000 hidden from the monitoring account · 1 failed"
	if n, reasons := r.skipped(p); n != 1003 || joined(reasons) != skipped {
		t.Errorf("got %d, %q, want 1003, %q", n, reasons, skipped)
	}
	if short, why := r.proof(p); short != "Complete" || why != p.T("proof.catalog") {
		t.Errorf("got %q, %q, want Complete by the catalog", short, why)
	}
	r.Receipt.Complete = false
	if short, why := r.proof(p); short != "Incomplete" || why != p.T("runs.incomplete_hint") {
		t.Errorf("got %q, %q, want Incomplete", short, why)
	}
}

func TestErrorNumber_StoredError(t *testing.T) {
	t.Parallel()

	for _, number := range []any{942, int64(942), json.Number("942")} {
		e := &models.Error{Code: models.CodeCollection, Extra: map[string]any{"error_number": number}}
		if got := ErrorNumber(Chinese, models.Oracle, e); got != "ORA-00942" {
			t.Errorf("%T: got %q, want ORA-00942", number, got)
		}
	}
}
