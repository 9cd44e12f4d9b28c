package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"

	"whalefall/collectors"
	"whalefall/models"
)

// lockByte is where a file has a page that holds nothing, if it is that long.
const lockByte = 1 << 30

// reservedOffset is where a file's header says how many bytes at the end of each page are not SQLite's.
const reservedOffset = 20

// fileHeader is what a file says of itself, in pages.
type fileHeader struct {
	pages, free, internal int64
	pageSize, reserved    int64 // bytes of a page, and how many of them are not SQLite's
	maps                  bool  // it keeps pointer maps, to be vacuumed
}

// Yardstick is the size of the file, of which all but free pages, pointer maps and the library's own tables is in tables.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	if database != mainDatabase {
		return models.Yardstick{}, collectors.DatabaseGone(database, nil)
	}
	var f fileHeader
	path, err := c.read(ctx, t, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, statements["yardstick"]).Scan(&f.pages, &f.pageSize, &f.maps, &f.internal)
		return errors.Join(err, tx.QueryRowContext(ctx, statements["yardstick_free"]).Scan(&f.free))
	})
	if err != nil {
		return models.Yardstick{}, err
	}
	f.reserved = reservedBytes(path)
	return models.Yardstick{
		Means: "page_count × page_size, freelist_count",
		Lacks: "single tables, only of all together",
		Sums:  []models.YardstickSum{{Name: "all pages of the file", Total: f.pages * f.pageSize, Rest: f.rest()}},
	}, nil
}

// reservedBytes is 0 for a file whose header was not written yet.
func reservedBytes(path string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	reserved := make([]byte, 1)
	if _, err := file.ReadAt(reserved, reservedOffset); err != nil && err != io.EOF {
		return 0
	}
	return int64(reserved[0])
}

// rest are the bytes of pages that belong to no table of a user.
func (f fileHeader) rest() int64 {
	pages := f.free + f.internal
	if f.maps && f.pages > 1 {
		covered := (f.pageSize-f.reserved)/5 + 1 // one map page and the pages it maps
		pages += (f.pages-2)/covered + 1
	}
	if f.pages*f.pageSize > lockByte {
		pages++
	}
	return pages * f.pageSize
}
