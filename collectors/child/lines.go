package child

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
)

// Limits of what is logged of one child's standard error.
const (
	maxLines = 100
	maxLine  = 1000 // bytes
)

// lines is a writer that logs each line.
type lines struct {
	ctx  context.Context //nolint:containedctx // of the call, for the log
	log  *slog.Logger
	rest []byte // the beginning of a line
	n    int

	outOfMemory bool // the Go runtime said so
}

// Write never fails.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte{'\n'})
		if !found {
			break
		}
		l.line(string(line))
		l.rest = rest
	}
	l.rest = l.rest[:min(len(l.rest), maxLine)]
	return len(b), nil
}

func (l *lines) line(text string) {
	l.outOfMemory = l.outOfMemory || strings.Contains(text, "out of memory")
	if l.n++; l.n <= maxLines && text != "" {
		l.log.WarnContext(l.ctx, "collector process", "line", strings.ToValidUTF8(text[:min(len(text), maxLine)], ""))
	}
}
