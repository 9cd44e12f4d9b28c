package sqlserver

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"whalefall/testenv/tds"
)

// result is the whole result of a statement, since the types of some columns follow from their values.
type result struct {
	columns []tds.Column
	rows    [][]any
}

func readResult(rows *sql.Rows) (*result, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, translate(err)
	}
	out := &result{columns: make([]tds.Column, len(types))}
	for rows.Next() {
		row, places := make([]any, len(types)), make([]any, len(types))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		out.rows = append(out.rows, row)
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	for i, t := range types {
		out.columns[i] = out.column(i, t)
	}
	return out, nil
}

// column returns the type of a result column: that of the catalog or, for an expression, that of its values.
func (r *result) column(i int, t *sql.ColumnType) tds.Column {
	column := tds.Column{Name: t.Name(), Type: tds.Int}
	if _, declared, ok := strings.Cut(t.DatabaseTypeName(), " "); ok {
		return declaredColumn(t.Name(), strings.ToLower(declared))
	}
	for _, row := range r.rows {
		switch row[i].(type) {
		case int64:
			column.Type = tds.BigInt
		case float64:
			column.Type = tds.Float
			return column
		case string:
			column.Type = tds.NVarChar
			return column
		case []byte:
			column.Type = tds.VarBinary
			return column
		}
	}
	return column
}

var declaredTypes = map[string]tds.Type{
	"bigint": tds.BigInt, "int": tds.Int, "smallint": tds.SmallInt, "tinyint": tds.TinyInt, "bit": tds.Bit,
	"float":   tds.Float,
	"decimal": tds.Decimal, "numeric": tds.Decimal,
	"sysname": tds.NVarChar, "nvarchar": tds.NVarChar, "varchar": tds.NVarChar, "char": tds.NVarChar,
	"varbinary": tds.VarBinary, "binary": tds.VarBinary, "uniqueidentifier": tds.UniqueIdentifier,
	"datetime": tds.DateTime, "datetime2": tds.DateTime2,
}

func declaredColumn(name, declared string) tds.Column {
	base, sizes, _ := strings.Cut(strings.TrimSuffix(declared, ")"), "(")
	column := tds.Column{Name: name, Type: declaredTypes[base]}
	size, scale, _ := strings.Cut(sizes, ",")
	number, _ := strconv.Atoi(strings.TrimSpace(size))
	scaled, _ := strconv.Atoi(strings.TrimSpace(scale))
	switch {
	case base == "sysname":
		column.Size = 128
	case column.Type == tds.Decimal:
		column.Precision, column.Scale = uint8(number), uint8(scaled)
	default:
		column.Size = number
	}
	return column
}

func (r *result) write(ctx context.Context, w *tds.Writer) error {
	if err := w.Columns(r.columns...); err != nil {
		return err
	}
	for _, row := range r.rows {
		values := slices.Clone(row)
		for i, column := range r.columns {
			var err error
			if values[i], err = sent(column, row[i]); err != nil {
				return err
			}
		}
		if err := w.Row(ctx, values...); err != nil {
			return err
		}
	}
	w.Done(int64(len(r.rows)))
	return nil
}

// sent converts a value for its column: the catalog keeps times, GUIDs and large numbers as text.
func sent(column tds.Column, value any) (any, error) {
	text, isText := value.(string)
	switch {
	case column.Type == tds.Decimal && value != nil:
		return decimal(value), nil
	case !isText:
		return value, nil
	case column.Type == tds.DateTime, column.Type == tds.DateTime2:
		return moment(text)
	case column.Type == tds.UniqueIdentifier:
		return guid(text)
	case column.Type == tds.VarBinary:
		return hex.DecodeString(strings.TrimPrefix(text, "0x"))
	default:
		return value, nil
	}
}

func decimal(value any) string {
	if f, ok := value.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

func moment(text string) (any, error) {
	layouts := []string{time.RFC3339, "2006-01-02T15:04:05.999999999", time.DateTime, time.DateOnly}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%q is not a time", text)
}

// guid parses a GUID into its bytes on the wire, of which the first three groups are little-endian.
func guid(text string) (any, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		return nil, fmt.Errorf("%q is not a GUID", text)
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b, nil
}
