package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"io"
	"os"

	"whalefall/models"
)

//go:embed sql/sqlite/yardstick.sql
var sqliteYardstickSQL string

//go:embed sql/sqlite/yardstick_free.sql
var sqliteYardstickFreeSQL string

// sqliteLockByte is where a file has a page that holds nothing, if it is that long.
const sqliteLockByte = 1 << 30

// sqliteReservedAt is where a file's header says how many bytes at the end of each page are not SQLite's.
const sqliteReservedAt = 20

// sqliteFile is what a file says of itself, in pages.
type sqliteFile struct {
	pages, free, internal int64
	pageSize, reserved    int64 // bytes of a page, and how many of them are not SQLite's
	maps                  bool  // it keeps pointer maps, to be vacuumed
}

// Yardstick is the size of the file, of which all but free pages, pointer maps and the library's own tables is in tables.
func (c *SQLite) Yardstick(ctx context.Context, t Target, database string) (models.Yardstick, error) {
	if database != sqliteDatabase {
		return models.Yardstick{}, databaseGone(database, nil)
	}
	var f sqliteFile
	path, err := c.read(ctx, t, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, sqliteYardstickSQL).Scan(&f.pages, &f.pageSize, &f.maps, &f.internal)
		return errors.Join(err, tx.QueryRowContext(ctx, sqliteYardstickFreeSQL).Scan(&f.free))
	})
	if err != nil {
		return models.Yardstick{}, err
	}
	f.reserved = sqliteReserved(path)
	return models.Yardstick{
		Means: "page_count × page_size, freelist_count",
		Lacks: "single tables, only of all together",
		Sums:  []models.YardstickSum{{Name: "all pages of the file", Total: f.pages * f.pageSize, Rest: f.rest()}},
	}, nil
}

// sqliteReserved is 0 for a file whose header was not written yet.
func sqliteReserved(path string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	reserved := make([]byte, 1)
	if _, err := file.ReadAt(reserved, sqliteReservedAt); err != nil && err != io.EOF {
		return 0
	}
	return int64(reserved[0])
}

// rest are the bytes of pages that belong to no table of a user.
func (f sqliteFile) rest() int64 {
	pages := f.free + f.internal
	if f.maps && f.pages > 1 {
		covered := (f.pageSize-f.reserved)/5 + 1 // one map page and the pages it maps
		pages += (f.pages-2)/covered + 1
	}
	if f.pages*f.pageSize > sqliteLockByte {
		pages++
	}
	return pages * f.pageSize
}
