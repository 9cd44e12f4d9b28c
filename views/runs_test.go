package views

import (
	"encoding/json"
	"testing"
	"time"

	"whalefall/models"
)

func TestSpansAreShort(t *testing.T) {
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

func TestARunSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	n := func(v int64) *int64 { return &v }
	p := Page{Lang: Chinese}
	for _, c := range []struct {
		what                   string
		run                    models.Progress
		stage, counted, filled string
	}{
		{"queued", models.Progress{Status: models.RunQueued}, "queued", "", ""},
		{"claimed and no more", models.Progress{Status: models.RunRunning}, "queued", "", ""},
		{"of unknown length", models.Progress{Status: models.RunRunning, Phase: models.PhaseQuerying, TablesSeen: n(12000)}, "querying", "12,000", ""},
		{"on its way", models.Progress{Status: models.RunRunning, Phase: models.PhaseQuerying, TablesSeen: n(12000), TablesTotal: n(100000)}, "querying", "12,000 / 100,000", "12"},
		{"more than there were", models.Progress{Status: models.RunRunning, Phase: models.PhaseStoring, TablesSeen: n(12), TablesTotal: n(10)}, "storing", "12", "100"},
		{"none", models.Progress{Status: models.RunRunning, Phase: models.PhaseStoring, TablesSeen: n(0), TablesTotal: n(0)}, "storing", "0 / 0", ""},
	} {
		r := RunState{Run: models.Run{Progress: c.run}}
		if r.Stage() != c.stage || r.counted() != c.counted || r.part() != c.filled {
			t.Errorf("%s: %q %q %q", c.what, r.Stage(), r.counted(), r.part())
		}
	}
	left := 2500 * time.Millisecond
	if text, reason := (RunState{Remaining: &left}).remains(p); text != "3 秒" || reason != "" {
		t.Errorf("remains %q %q", text, reason)
	}
	if text, reason := (RunState{}).remains(p); text != unknown || reason == "" {
		t.Errorf("unknown remains %q %q", text, reason)
	}
}

func TestAReceiptNamesWhatWasSkipped(t *testing.T) {
	t.Parallel()
	p := Page{Lang: English}
	r := RunState{Run: models.Run{Receipt: models.Receipt{Locked: 2, Failed: 1, Hidden: 1000, Complete: true, Proof: models.ProofCatalog}}}
	if n, reasons := r.skipped(p); n != 1003 || joined(reasons) != "2 locked · 1,000 hidden from the monitoring account · 1 failed" {
		t.Errorf("%d %q", n, reasons)
	}
	if short, why := r.proof(p); short != "Complete" || why != p.T("proof.catalog") {
		t.Errorf("%q %q", short, why)
	}
	r.Receipt.Complete = false
	if short, why := r.proof(p); short != "Incomplete" || why != p.T("runs.incomplete_hint") {
		t.Errorf("%q %q", short, why)
	}
}

func TestTheNumberOfAStoredErrorIsWrittenAsAnyOther(t *testing.T) {
	t.Parallel()
	for _, number := range []any{942, int64(942), json.Number("942")} {
		e := &models.Error{Code: models.CodeCollection, Extra: map[string]any{"error_number": number}}
		if got := ErrorNumber(Chinese, models.Oracle, e); got != "ORA-00942" {
			t.Errorf("%T: %q", number, got)
		}
	}
}
