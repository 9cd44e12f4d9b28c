package sqlite

import (
	"context"
	"database/sql"
	"io"
	"os"

	"whalefall/collectors"
	"whalefall/models"
)

// lockByte is the offset of the page that holds no data in files that are long enough.
const lockByte = 1 << 30

// reservedOffset is the offset in the header of the number of bytes that SQLite leaves unused at the end of each page.
const reservedOffset = 20

// fileHeader is what a file says about itself, in pages.
type fileHeader struct {
	pages, free, internal int64
	pageSize, reserved    int64 // bytes of a page, and how many of them SQLite leaves unused
	maps                  bool  // has pointer maps, for auto-vacuum
}

// Yardstick returns the size of the file. All of it but free pages, pointer maps and the library's own tables is in
// tables.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	if database != mainDatabase {
		return models.Yardstick{}, collectors.DatabaseGone(database, nil)
	}
	var f fileHeader
	path, err := c.read(ctx, t, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, statements["yardstick"]).Scan(&f.pages, &f.pageSize, &f.maps, &f.internal)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, statements["yardstick_free"]).Scan(&f.free)
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

// reservedBytes returns the bytes left unused at the end of each page, 0 for a file whose header was not written yet.
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

// rest returns the bytes of pages that belong to none of the user's tables.
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
