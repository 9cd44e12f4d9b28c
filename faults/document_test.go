package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// The matrix stands between the markers of the document. It is made from the records, so that one fault can be tried
// again without the others.
const (
	document = "../docs/reliability.md"
	records  = "testdata/records.json"
)

const (
	matrixBegin = "<!-- matrix: written by `task faults` -->"
	matrixEnd   = "<!-- end of the matrix -->"
)

// record is the saved result of a fault.
type record struct {
	Cells   map[string]string // status and snapshot by the name of the cell
	Pages   int               // requested during the fault; 0: its cells were never all tried in one run
	Refused int               // of Pages
	P50     time.Duration
	P99     time.Duration
}

// merge returns the record updated with the results of this test run. It updates the pages only if all cells of the
// fault were tried.
func (r *results) merge(f *fault, known record) record {
	if known.Cells == nil {
		known.Cells = map[string]string{}
	}
	all := true
	for _, c := range allCells() {
		if c.fault != f {
			continue
		}
		got, tried := r.of[c]
		all = all && tried
		if tried && got.na == "" {
			known.Cells[c.String()] = fmt.Sprintf("%s, %s", got.end.status, got.end.snapshot)
		}
	}
	if all {
		took, refused := r.pages(f)
		known.Pages, known.Refused, known.P50, known.P99 = len(took), refused, percentile(took, 50), percentile(took, 99)
	}
	return known
}

// save updates the records and the document with the results of this test run.
func (r *results) save(out io.Writer) error {
	known, err := readRecords()
	if err != nil {
		return err
	}
	for _, f := range faults {
		known[f.name] = r.merge(f, known[f.name])
	}
	text, err := json.MarshalIndent(known, "", "\t")
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(records, append(text, '\n'), 0o644)); err != nil {
		return err
	}
	return writeDocument(out, known)
}

func readRecords() (map[string]record, error) {
	known := map[string]record{}
	text, err := os.ReadFile(records)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &known)
	return known, err
}

// writeDocument prints the matrix and replaces that of the document.
func writeDocument(out io.Writer, known map[string]record) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	head, rest, opened := strings.Cut(string(text), matrixBegin)
	_, tail, closed := strings.Cut(rest, matrixEnd)
	if !opened || !closed {
		return fmt.Errorf("%s has no markers", document)
	}
	var b strings.Builder
	for _, f := range faults {
		writeFault(&b, f, known[f.name])
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	return os.WriteFile(document, []byte(head+matrixBegin+"\n\n"+b.String()+matrixEnd+tail), 0o644)
}

// writeFault writes the section of a fault.
func writeFault(b *strings.Builder, f *fault, of record) {
	title := strings.ToUpper(f.name[:1]) + f.name[1:]
	fmt.Fprintf(b, "### %s\n\n%s\n%s\n\n| engine | store |", title, f.description, f.effect)
	for _, phase := range phases {
		fmt.Fprintf(b, " %s |", phase)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(phases)) + "\n")
	var reasons []string
	for _, engine := range engines {
		for _, store := range stores {
			fmt.Fprintf(b, "| %s | %s |", engine, store)
			for _, phase := range phases {
				c := cell{f, phase, engine, store}
				if r, _ := f.rule(c); r.na != "" {
					fmt.Fprintf(b, " n/a (%d) |", footnote(&reasons, r.na))
					continue
				}
				fmt.Fprintf(b, " %s |", cmp.Or(of.Cells[c.String()], "not tried"))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	for i, reason := range reasons {
		fmt.Fprintf(b, "- (%d) n/a: %s.\n", i+1, reason)
	}
	if of.Pages == 0 {
		b.WriteString("\n")
		return
	}
	fmt.Fprintf(b, "- Pages during the fault: %d, %d refused; p50 %s, p99 %s.\n\n",
		of.Pages, of.Refused, milliseconds(of.P50), milliseconds(of.P99))
}

// footnote returns the number of the reason, counted from 1, adding it to the list if it is new.
func footnote(reasons *[]string, reason string) int {
	at := slices.Index(*reasons, reason)
	if at < 0 {
		at = len(*reasons)
		*reasons = append(*reasons, reason)
	}
	return at + 1
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
