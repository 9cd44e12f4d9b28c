package handlers

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// maxImportRows is the largest number of instances in one file.
const maxImportRows = 1000

// Columns of an import. Those of the contract come first, and an export starts with them. Verbatim columns keep
// surrounding space.
var (
	contractColumns = []string{"name", "db_type", "host", "port", "database_name", "description", "credential_id"}
	ownColumns      = []string{"tls_mode", "tags", "status"}
	requiredColumns = []string{"db_type", "host", "name", "port"}
	verbatimColumns = []string{"database_name", "description"}
)

// importJSON is the result of an import.
type importJSON struct {
	CreatedCount         int      `json:"created_count"`
	CreatedIDs           []int64  `json:"created_ids"`
	Errors               []string `json:"errors"`
	DuplicateNames       []string `json:"duplicate_names"`
	SkippedExistingNames []string `json:"skipped_existing_names"`
}

// importRow is one row of the file.
type importRow struct {
	number int // from 1, without the header
	fields fields
	err    error // why the row does not fit its header
}

func (r importRow) name() string { s, _ := r.fields["name"].(string); return s }

func (h *handlers) apiImportInstances(c echo.Context) error {
	result, _, err := h.importInstances(c)
	if err != nil {
		return err
	}
	return h.ok(c, result, "import.created", "Count", result.CreatedCount)
}

// importInstances creates the valid instances of the uploaded file and reports what is wrong with the others.
func (h *handlers) importInstances(c echo.Context) (result importJSON, file string, err error) {
	file, raw, err := uploadedCSV(c)
	auditTarget(c, 0, file)
	if err != nil {
		return result, file, err
	}
	rows, err := readImport(raw)
	if err != nil {
		return result, file, err
	}
	result, err = h.importRows(c, rows)
	return result, file, err
}

func (h *handlers) importRows(c echo.Context, rows []importRow) (importJSON, error) {
	out := importJSON{Errors: []string{}, DuplicateNames: repeatedNames(rows)}
	drafts := make([]models.InstanceDraft, 0, len(rows))
	for _, row := range rows {
		if slices.Contains(out.DuplicateNames, row.name()) {
			continue
		}
		draft, err := h.bindDraft(c, row)
		if err != nil {
			e := models.AsError(err)
			if e.Code != models.CodeInvalid {
				return importJSON{}, err
			}
			reason := views.Failed(lang(c), e)
			out.Errors = append(out.Errors,
				views.Message(lang(c), "import.row_invalid", models.Args("Row", row.number, "Reason", reason)))
			continue
		}
		drafts = append(drafts, draft)
	}
	done, err := h.Store.CreateInstances(c.Request().Context(), drafts)
	if err != nil {
		return importJSON{}, err
	}
	out.CreatedCount, out.CreatedIDs, out.SkippedExistingNames = len(done.IDs), done.IDs, done.Taken
	out.summarize(lang(c))
	return out, nil
}

// summarize adds errors about names that were skipped.
func (r *importJSON) summarize(lang string) {
	if len(r.DuplicateNames) > 0 {
		r.Errors = append(r.Errors,
			views.Message(lang, "import.names_repeated", models.Args("Names", strings.Join(r.DuplicateNames, ", "))))
	}
	if len(r.SkippedExistingNames) > 0 {
		r.Errors = append(r.Errors,
			views.Message(lang, "import.names_taken", models.Args("Names", strings.Join(r.SkippedExistingNames, ", "))))
	}
}

// bindDraft reads a row as the body of a new instance.
func (h *handlers) bindDraft(c echo.Context, row importRow) (models.InstanceDraft, error) {
	if row.err != nil {
		return models.InstanceDraft{}, row.err
	}
	instance, tags, _, err := h.bindInstance(c, row.fields, nil)
	draft := models.InstanceDraft{Instance: instance}
	if tags != nil {
		draft.TagNames = *tags
	}
	return draft, err
}

// repeatedNames returns names that more than one row has, in the order of the file.
func repeatedNames(rows []importRow) []string {
	repeated, seen := []string{}, map[string]int{}
	for _, row := range rows {
		name := row.name()
		if seen[name]++; name != "" && seen[name] == 2 {
			repeated = append(repeated, name)
		}
	}
	return repeated
}

// uploadedCSV returns name and content of the uploaded file.
func uploadedCSV(c echo.Context) (name string, raw []byte, err error) {
	header, err := c.FormFile("file")
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", nil, bodyUnread(err)
	case errors.Is(err, http.ErrMissingFile):
		return "", nil, models.Invalid("import.no_file")
	case err != nil:
		return "", nil, &models.Error{Code: models.CodeInvalid, Key: "body.not_form", Err: err}
	}
	name = header.Filename
	if !strings.HasSuffix(strings.ToLower(name), ".csv") {
		return name, nil, models.Invalid("import.no_file")
	}
	file, err := header.Open()
	if err != nil {
		return name, nil, err
	}
	defer func() { _ = file.Close() }()
	raw, err = io.ReadAll(file)
	return name, raw, err
}

// readImport returns the rows of a file without blank ones.
func readImport(raw []byte) ([]importRow, error) {
	if !utf8.Valid(raw) {
		return nil, models.Invalid("import.not_utf8")
	}
	records := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte(byteOrderMark))))
	records.FieldsPerRecord = -1
	header, err := nextRecord(records)
	if errors.Is(err, io.EOF) {
		return nil, models.Invalid("import.no_rows")
	}
	if err != nil {
		return nil, err
	}
	columns, err := importColumns(header)
	if err != nil {
		return nil, err
	}
	return readRows(records, columns)
}

func readRows(records *csv.Reader, columns []string) ([]importRow, error) {
	var rows []importRow
	for number := 1; ; number++ {
		record, err := nextRecord(records)
		switch {
		case errors.Is(err, io.EOF) && len(rows) > 0:
			return rows, nil
		case errors.Is(err, io.EOF):
			return nil, models.Invalid("import.no_rows")
		case err != nil:
			return nil, err
		case isBlankRecord(record):
			continue
		case len(rows) == maxImportRows:
			return nil, models.Invalid("import.too_many_rows", "Limit", maxImportRows)
		}
		row := importRow{number: number}
		row.fields, row.err = importFields(columns, record)
		rows = append(rows, row)
	}
}

// nextRecord returns the next record of a file, io.EOF after the last.
func nextRecord(records *csv.Reader) ([]string, error) {
	record, err := records.Read()
	if malformed, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, models.Invalid("import.malformed", "Line", malformed.Line)
	}
	return record, err
}

func isBlankRecord(record []string) bool {
	return !slices.ContainsFunc(record, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// importColumns returns the column at each position of a row, "" for one that is ignored.
func importColumns(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, cell := range header {
		name := strings.ToLower(strings.TrimSpace(cell))
		if !slices.Contains(contractColumns, name) && !slices.Contains(ownColumns, name) {
			continue
		}
		if slices.Contains(columns, name) {
			return nil, models.Invalid("import.column_repeated", "Column", name)
		}
		columns[i] = name
	}
	missing := slices.DeleteFunc(slices.Clone(requiredColumns),
		func(name string) bool { return slices.Contains(columns, name) })
	if len(missing) > 0 {
		return nil, models.Invalid("import.columns_missing", "Columns", strings.Join(missing, ", "))
	}
	return columns, nil
}

// importFields returns a row as the body of a new instance. Empty cells are left out.
func importFields(columns, record []string) (fields, error) {
	if len(record) > len(columns) && !isBlankRecord(record[len(columns):]) {
		return fields{}, models.Invalid("import.too_many_cells")
	}
	f := fields{}
	for i, name := range columns[:min(len(columns), len(record))] {
		cell := unescapeFormula(record[i])
		if !slices.Contains(verbatimColumns, name) {
			cell = strings.TrimSpace(cell)
		}
		switch {
		case name == "" || cell == "":
		case name == "tags":
			f["tag_names"] = splitTags(cell)
		case name == "status":
			f["is_active"] = cell != "inactive" && cell != "deleted"
		default:
			f[name] = cell
		}
	}
	return f, nil
}

// tagSeparator separates the tags in a cell. The cell is itself a row of CSV, since tags may contain the separator.
const tagSeparator = ';'

func splitTags(cell string) []any {
	reader := csv.NewReader(strings.NewReader(cell))
	reader.Comma, reader.LazyQuotes, reader.TrimLeadingSpace = tagSeparator, true, true
	rows, err := reader.ReadAll()
	if err != nil || len(rows) != 1 {
		return []any{cell} // a tag with line breaks is refused later
	}
	names := make([]any, len(rows[0]))
	for i, name := range rows[0] {
		names[i] = name
	}
	return names
}

func joinTags(tags []models.Tag) (string, error) {
	if len(tags) == 0 {
		return "", nil
	}
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.Name
	}
	var cell strings.Builder
	row := csv.NewWriter(&cell)
	row.Comma = tagSeparator
	if err := row.Write(names); err != nil {
		return "", err
	}
	row.Flush()
	return strings.TrimSuffix(cell.String(), "\n"), row.Error()
}
