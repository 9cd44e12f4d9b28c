package models

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// tableCursor identifies the last row of a page; the next page starts behind it.
type tableCursor struct {
	DatabaseID int64  `json:"d"`
	Order      string `json:"o"`
	Value      *int64 `json:"v,omitempty"` // nil: unknown, or sorted by names
	Schema     string `json:"s"`
	Table      string `json:"t"`
}

func newTableCursor(q TableQuery, order tableOrder, last *TableSizeRow) *tableCursor {
	cursor := &tableCursor{DatabaseID: q.DatabaseID, Order: order.name, Schema: last.Schema, Table: last.Name}
	sort := strings.TrimPrefix(order.name, "-")
	if column, known := tableSorts[sort]; known {
		if number, ok := column.field(&last.DatabaseTableSizeStat).(**int64); ok {
			cursor.Value = *number
		}
	}
	for _, w := range growthWindows {
		if sort == w.sort {
			cursor.Value = *w.of(last)
		}
	}
	return cursor
}

// encode returns the cursor as it appears in addresses.
func (c *tableCursor) encode() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// CheckCursor returns CodeInvalid if the cursor is malformed or belongs to another sort or, with a DatabaseID, to
// another database.
func (q TableQuery) CheckCursor() error {
	if q.Cursor == "" {
		return nil
	}
	_, err := parseTableCursor(q)
	return err
}

func parseTableCursor(q TableQuery) (*tableCursor, error) {
	broken := Invalid("query.cursor")
	text, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil {
		return nil, broken
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var cursor tableCursor
	if err := decoder.Decode(&cursor); err != nil || decoder.More() {
		return nil, broken
	}
	foreign := q.DatabaseID != 0 && cursor.DatabaseID != q.DatabaseID
	if foreign || cursor.Order != newTableOrder(q, Snapshot{}).name {
		return nil, broken
	}
	if requireStorable(cursor.Schema, cursor.Table) != nil {
		return nil, broken
	}
	return &cursor, nil
}
