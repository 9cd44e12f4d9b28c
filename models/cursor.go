package models

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// tableCursor is the last row of a page; what follows it is the next page.
type tableCursor struct {
	DatabaseID int64  `json:"d"`
	Order      string `json:"o"`
	Value      *int64 `json:"v,omitempty"` // nil: unknown, or sorted by names
	Schema     string `json:"s"`
	Table      string `json:"t"`
}

func newTableCursor(q TableQuery, order tableOrder, last DatabaseTableSizeStat) *tableCursor {
	cursor := &tableCursor{DatabaseID: q.DatabaseID, Order: order.name, Schema: last.SchemaName, Table: last.TableName}
	switch order.value {
	case "size_bytes":
		cursor.Value = last.SizeBytes
	case "data_bytes":
		cursor.Value = last.DataBytes
	case "index_bytes":
		cursor.Value = last.IndexBytes
	case "unused_bytes":
		cursor.Value = last.UnusedBytes
	case "row_count":
		cursor.Value = last.RowCount
	}
	return cursor
}

// encode is the cursor as addresses have it.
func (c *tableCursor) encode() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// CheckCursor is a CodeInvalid for a cursor of another sort or, with a DatabaseID, of another database, and for what is none.
func (q TableQuery) CheckCursor() error {
	if q.Cursor == "" {
		return nil
	}
	_, err := parseTableCursor(q, newTableOrder(q.Sort, q.Desc))
	return err
}

func parseTableCursor(q TableQuery, order tableOrder) (tableCursor, error) {
	broken := Invalid("query.cursor")
	text, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil {
		return tableCursor{}, broken
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var cursor tableCursor
	if err := decoder.Decode(&cursor); err != nil || decoder.More() {
		return tableCursor{}, broken
	}
	foreign := q.DatabaseID != 0 && cursor.DatabaseID != q.DatabaseID
	if foreign || cursor.Order != order.name || !storable(cursor.Schema) || !storable(cursor.Table) {
		return tableCursor{}, broken
	}
	return cursor, nil
}
