package handlers

import (
	"time"

	"whalefall/models"
)

// tableSizeJSON is one row of a snapshot. Unknown members are left out but for unused_bytes, which is null.
type tableSizeJSON struct {
	SchemaName     string            `json:"schema_name"`
	TableName      string            `json:"table_name"`
	SizeMB         *int64            `json:"size_mb,omitempty"`
	DataSizeMB     *int64            `json:"data_size_mb,omitempty"`
	IndexSizeMB    *int64            `json:"index_size_mb,omitempty"`
	RowCount       *int64            `json:"row_count,omitempty"`
	CollectedAt    string            `json:"collected_at,omitempty"`
	SizeBytes      *int64            `json:"size_bytes,omitempty"`
	DataSizeBytes  *int64            `json:"data_size_bytes,omitempty"`
	IndexSizeBytes *int64            `json:"index_size_bytes,omitempty"`
	UnusedBytes    *int64            `json:"unused_bytes"` // null: nobody measured it
	Growth7dBytes  *int64            `json:"growth_7d_bytes,omitempty"`
	GrowthBytes    *int64            `json:"growth_bytes,omitempty"` // over the last 30 days
	Kind           models.Kind       `json:"kind"`
	ParentSchema   string            `json:"parent_schema,omitempty"`
	ParentTable    string            `json:"parent_table,omitempty"`
	RolledUp       bool              `json:"rolled_up,omitempty"`
	PartitionCount int64             `json:"partition_count,omitempty"`
	RowsSource     models.RowsSource `json:"rows_source,omitempty"`
	SizeSource     models.SizeSource `json:"size_source,omitempty"`
	StatsStale     bool              `json:"stats_stale,omitempty"`
	Kept           bool              `json:"kept,omitempty"` // values of an earlier run, see collected_at
	Unread         models.Unread     `json:"unread,omitempty"`
	MemoryBytes    *int64            `json:"memory_bytes,omitempty"` // RAM, not part of any size
	RowsAt         string            `json:"rows_at,omitempty"`      // when the engine counted row_count
	Note           models.Note       `json:"note,omitempty"`
	RelatedSchema  string            `json:"related_schema,omitempty"` // with related_table: what the note refers to
	RelatedTable   string            `json:"related_table,omitempty"`
}

func newTableSize(r models.TableSizeRow, snapshot *time.Time) tableSizeJSON {
	out := tableSizeJSON{
		SchemaName: r.Schema, TableName: r.Name, Kind: r.Kind,
		SizeMB: mb(r.Total), DataSizeMB: mb(r.Data), IndexSizeMB: mb(r.Index),
		SizeBytes: r.Total, DataSizeBytes: r.Data, IndexSizeBytes: r.Index, UnusedBytes: r.Unused,
		RowCount: r.Rows, Growth7dBytes: r.Growth7, GrowthBytes: r.Growth30, ParentTable: r.Parent,
		RolledUp: r.RolledUp, PartitionCount: r.PartitionCount, RowsSource: r.RowsSource, SizeSource: r.SizeSource,
		StatsStale: r.StatsStale, Kept: r.KeptFrom != nil, Unread: r.Unread,
		MemoryBytes: r.Memory, Note: r.Note, RelatedSchema: r.RelatedSchema, RelatedTable: r.Related,
	}
	if r.RowsAt != nil {
		out.RowsAt = timestamp(*r.RowsAt)
	}
	if r.Parent != "" {
		out.ParentSchema = r.ParentSchema
	}
	from := snapshot
	if r.KeptFrom != nil {
		from = r.KeptFrom
	}
	if from != nil {
		out.CollectedAt = timestamp(*from)
	}
	return out
}

// tableSizesJSON is one page of a snapshot with figures of the whole.
type tableSizesJSON struct {
	windowJSON
	CollectedAt *string         `json:"collected_at"`
	Tables      []tableSizeJSON `json:"tables"`
	NextCursor  string          `json:"next_cursor,omitempty"`
	*snapshotJSON
	*receiptJSON
}

// snapshotJSON is present if the database was ever collected.
type snapshotJSON struct {
	Complete     bool   `json:"complete"`
	TableCount   int64  `json:"table_count"`
	TotalBytes   int64  `json:"total_size_bytes"` // without roll-ups
	UnknownCount int64  `json:"unknown_count"`
	HiddenCount  int64  `json:"hidden_count"`
	KeptCount    int64  `json:"kept_count"`
	MissingGrant string `json:"missing_grant,omitempty"`
	Scope        string `json:"scope,omitempty"`               // the only schema that the newest refresh could read
	Residual     *int64 `json:"residual_size_bytes,omitempty"` // allocated to no table, not part of any sum
}

// receiptJSON is what a refresh adds.
type receiptJSON struct {
	SavedCount   int64 `json:"saved_count"`
	DeletedCount int64 `json:"deleted_count"`
	ChangedCount int64 `json:"changed_count"`
	ElapsedMS    int64 `json:"elapsed_ms"`
	Duplicates   int64 `json:"duplicates,omitempty"`
}

func newReceipt(r models.Receipt) *receiptJSON {
	return &receiptJSON{
		SavedCount:   r.Saved,
		DeletedCount: r.Pruned,
		ChangedCount: r.Changed,
		ElapsedMS:    r.ElapsedMS,
		Duplicates:   r.Duplicates,
	}
}

func newTableSizes(q models.TableQuery, page models.TablePage, numbered bool) tableSizesJSON {
	header := page.Database
	out := tableSizesJSON{
		windowJSON: newWindow(page.Total, q.Limit, q.Offset, numbered), CollectedAt: timestampOrNull(header.CollectedAt),
		Tables: make([]tableSizeJSON, len(page.Rows)), NextCursor: page.NextCursor,
	}
	for i, row := range page.Rows {
		out.Tables[i] = newTableSize(row, header.CollectedAt)
	}
	if header.CollectedAt != nil {
		out.snapshotJSON = &snapshotJSON{
			Complete:     header.Complete,
			TableCount:   header.TableCount,
			TotalBytes:   header.TotalBytes,
			UnknownCount: header.UnknownCount,
			HiddenCount:  header.HiddenCount,
			KeptCount:    header.KeptCount,
			MissingGrant: header.Grant,
			Scope:        header.Scope,
			Residual:     header.ResidualBytes,
		}
	}
	return out
}
