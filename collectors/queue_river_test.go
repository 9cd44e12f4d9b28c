package collectors

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRiverRepeatsItselfOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	handler := newWarnings(slog.NewTextHandler(&out, nil))
	handlers := []slog.Handler{handler, handler.WithAttrs([]slog.Attr{slog.String("queue", "asked")}), handler.WithGroup("river")}
	begin := time.Date(2026, 3, 9, 17, 30, 0, 0, time.UTC)
	for second := range 150 {
		now := begin.Add(time.Duration(second) * time.Second)
		for _, h := range handlers {
			for _, message := range []string{"Error fetching jobs", "Job stuck"} {
				if err := h.Handle(t.Context(), slog.NewRecord(now, slog.LevelError, message, 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, message := range []string{"Error fetching jobs", "Job stuck"} {
		if n := strings.Count(out.String(), message); n != 3 {
			t.Errorf("%q is told %d times in 2.5 minutes", message, n)
		}
	}
	if handler.Enabled(t.Context(), slog.LevelInfo) || !handler.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("warnings are not told, or more than them")
	}
}
