package faults

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// document is the page that the matrix stands on, between the markers.
const document = "../docs/reliability.md"

const (
	matrixBegins = "<!-- matrix: written by `task faults` -->"
	matrixEnds   = "<!-- end of the matrix -->"
)

// writeDocument prints the matrix and puts it into the document.
func writeDocument(got *results) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(text), matrixBegins)
	_, tail, ends := strings.Cut(rest, matrixEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has lost its markers", document)
	}
	table := matrixTable(got)
	fmt.Println(table)
	return os.WriteFile(document, []byte(head+matrixBegins+"\n\n"+table+"\n"+matrixEnds+tail), 0o644)
}

// matrixTable has a table for each fault.
func matrixTable(got *results) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "### %s\n\n%s\n%s\n\n| engine | store |", strings.ToUpper(f.name[:1])+f.name[1:], f.about, f.does)
		for _, phase := range phases {
			fmt.Fprintf(&b, " %s |", phase)
		}
		b.WriteString("\n|---|---|" + strings.Repeat("---|", len(phases)) + "\n")
		reasons := []string{}
		for _, engine := range engines {
			for _, store := range stores {
				fmt.Fprintf(&b, "| %s | %s |", engine, store)
				for _, phase := range phases {
					r := got.of[cell{f, phase, engine, store}]
					if r.na != "" {
						fmt.Fprintf(&b, " n/a (%d) |", footnote(&reasons, r.na))
						continue
					}
					fmt.Fprintf(&b, " %s, %s |", r.end.status, r.end.snapshot)
				}
				b.WriteString("\n")
			}
		}
		took, refused := got.pages(f)
		fmt.Fprintf(&b, "\nPages meanwhile: %d, of them %d refused; p50 %s, p99 %s.\n\n", len(took), refused,
			milliseconds(percentile(took, 50)), milliseconds(percentile(took, 99)))
		for i, reason := range reasons {
			fmt.Fprintf(&b, "(%d) n/a: %s.\n", i+1, reason)
		}
		if len(reasons) > 0 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// footnote is the number of a reason, counted from 1.
func footnote(reasons *[]string, reason string) int {
	for i, known := range *reasons {
		if known == reason {
			return i + 1
		}
	}
	*reasons = append(*reasons, reason)
	return len(*reasons)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
