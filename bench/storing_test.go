//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"whalefall/models"
)

// Sizes in SQLite's write-ahead log, in bytes.
const (
	sqlitePage   = 4096 + 24 // with its frame header
	sqliteHeader = 32        // of the file
)

// TestStoring compares saving a snapshot with GORM's CreateInBatches(500) with OnConflict and a prune.
func TestStoring(t *testing.T) {
	eachStore(t, func(t *testing.T, kind string) {
		measured(t, "snapshots", idsOf(storingGoals(kind)), func(t *testing.T) { newStoring(t, kind).run(t) })
	})
}

type storing struct {
	*filled
	reference      *reference
	beside         *place
	ours, theirs   meter
	all            []models.TableSize
	first, same    cost
	tenth, batches cost // batches is the reference, which writes every row
}

func newStoring(t *testing.T, kind string) *storing {
	t.Helper()
	p := newPlace(t, kind)
	beside := p.beside(t)
	return &storing{
		filled: newFilled(t, p), beside: beside, reference: newReference(t, beside),
		ours: p.meter(t), theirs: beside.meter(t),
		all: madeUpTables(savedTables),
	}
}

func (s *storing) run(t *testing.T) {
	s.saveFirst(t)
	s.saveAgain(t)
	s.saveTenth(t)
	s.saveEach(t)
	s.saveFew(t)
	s.countAtLimits(t)
}

// turn measures both ways to save into a database, after tidying up.
func (s *storing) turn(t *testing.T, database models.InstanceDatabase, ours, theirs *cost) {
	t.Helper()
	s.tidy(t)
	s.ours.measure(ours, func() { s.save(t, database, s.all) })
	s.beside.tidy(t)
	s.theirs.measure(theirs, func() { s.reference.save(t, database.ID, s.all) })
}

func (s *storing) saveFirst(t *testing.T) {
	var theirs cost
	for i := range rounds {
		s.turn(t, s.database(t, databaseName(i)), &s.first, &theirs)
	}
	reportRatio(t, s.kind+"-first", &s.first, &theirs, 1)
}

func (s *storing) saveAgain(t *testing.T) {
	database := s.database(t, databaseName(0))
	for range rounds {
		s.turn(t, database, &s.same, &s.batches)
	}
	goal := 0.12
	reportRatio(t, s.kind+"-unchanged", &s.same, &s.batches, goal)
	rate := float64(len(s.all)) / median(s.same.wall).Seconds()
	report(t, s.kind+"-unchanged-rate", thousands(int(rate)), rate >= 200_000,
		fmt.Sprintf("%s tables", thousands(len(s.all))))
	if s.kind == onSQLite {
		pages := (median(s.same.log) - sqliteHeader) / sqlitePage
		report(t, s.kind+"-unchanged-wal", fmt.Sprintf("%d pages", pages), pages <= 4,
			fmt.Sprintf("ORM in batches: %s pages", thousands(int(median(s.batches.log)/sqlitePage))))
		return
	}
	s.reportLog(t, s.kind+"-unchanged-wal", &s.same, &s.batches, goal)
}

func (s *storing) saveTenth(t *testing.T) {
	database := s.database(t, databaseName(0))
	var theirs cost
	for i := range rounds {
		grow(s.all, i)
		s.turn(t, database, &s.tenth, &theirs)
	}
	goal := map[string]float64{onSQLite: 0.2, onPostgreSQL: 0.35}[s.kind]
	reportRatio(t, s.kind+"-tenth", &s.tenth, &theirs, goal)
	s.reportLog(t, s.kind+"-tenth-wal", &s.tenth, &theirs, goal)
}

func (s *storing) reportLog(t *testing.T, id string, ours, theirs *cost, goal float64) {
	t.Helper()
	ratio := quotient(median(ours.log), median(theirs.log))
	report(t, id, fmt.Sprintf("%.3f", ratio), ratio <= goal,
		fmt.Sprintf("%.2f MB ÷ %.1f MB", float64(median(ours.log))/1e6, float64(median(theirs.log))/1e6))
}

// saveEach measures saving one row at a time.
func (s *storing) saveEach(t *testing.T) {
	few := s.all[:min(1000, len(s.all))]
	var each cost
	for range rounds {
		s.theirs.measure(&each, func() { s.reference.saveEach(t, 1, few) })
	}
	wall := quotient(perRow(each.wall, len(few)), perRow(s.batches.wall, len(s.all)))
	report(t, s.kind+"-single", fmt.Sprintf("%.1f wall", wall), true,
		fmt.Sprintf("%s for %s rows", text(median(each.wall)), thousands(len(few))))
}

// saveFew compares the cost per row of a small snapshot with that of a large one.
func (s *storing) saveFew(t *testing.T) {
	const few = 1000
	var first, same, tenth cost
	tables := madeUpTables(few)
	for i := range 3 * rounds {
		database := s.database(t, fmt.Sprintf("few%d", i))
		s.ours.measure(&first, func() { s.save(t, database, tables) })
		s.ours.measure(&same, func() { s.save(t, database, tables) })
		grow(tables, i)
		s.ours.measure(&tenth, func() { s.save(t, database, tables) })
	}
	many := len(s.all)
	ratios := []float64{
		quotient(perRow(s.first.wall, many), perRow(first.wall, few)),
		quotient(perRow(s.same.wall, many), perRow(same.wall, few)),
		quotient(perRow(s.tenth.wall, many), perRow(tenth.wall, few)),
	}
	worst := max(ratios[0], ratios[1], ratios[2])
	report(t, s.kind+"-growth", fmt.Sprintf("%.2f", worst), worst <= 2,
		fmt.Sprintf("first %.2f, nothing changed %.2f, a tenth changed %.2f", ratios[0], ratios[1], ratios[2]))
}

func perRow(wall []time.Duration, rows int) time.Duration {
	return median(wall) / time.Duration(rows)
}

// countAtLimits saves numbers of tables around the limits of statement parameters, and counts lost rows.
func (s *storing) countAtLimits(t *testing.T) {
	lost, limits := int64(0), []int{2978, 2979, 5957, 5958, 65_535, 65_536, 100_000}
	tables := madeUpTables(limits[len(limits)-1])
	for _, n := range limits {
		database := s.database(t, fmt.Sprintf("limit%d", n))
		s.save(t, database, tables[:n])
		lost += int64(n) - s.count(t, "SELECT count(*) FROM database_table_size_stats WHERE database_id = ?", database.ID)
	}
	report(t, s.kind+"-limits", thousands(int(lost)), lost == 0, fmt.Sprint(limits))
}
