package models

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
)

// RunStatuses lists every status in the order of the filter.
var RunStatuses = []RunStatus{RunQueued, RunRunning, RunSucceeded, RunFailed, RunCancelled, RunInterrupted}

// RunKinds lists every kind in the order of the filter.
var RunKinds = []RunKind{RunTables, RunDatabases}

// RunQuery selects a page of runs. Zero values mean no filter.
type RunQuery struct {
	InstanceID    int64
	Database      string // literal, case-insensitive part of a name in the inventory, or the whole name of any database
	Kind          RunKind
	Status        RunStatus
	Limit, Offset int
}

// RunPage is one page of runs and the number of all that match.
type RunPage struct {
	Runs  []Run
	Total int64
}

// Runs returns a page of the runs of instances that are not deleted, newest first, with their InstanceName.
func (s *Store) Runs(ctx context.Context, q RunQuery) (RunPage, error) {
	var page RunPage
	err := s.view(ctx, func(tx *gorm.DB) (err error) {
		if err := s.filterRuns(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}
		page.Runs, err = readRuns(s.filterRuns(tx, q).Limit(q.Limit).Offset(q.Offset))
		return err
	})
	return page, err
}

func (s *Store) filterRuns(tx *gorm.DB, q RunQuery) *gorm.DB {
	runs := tx.Model(&Run{}).Joins("JOIN instances i ON i.id = collection_runs.instance_id AND i.deleted_at IS NULL")
	runs = equal(equal(runs, "collection_runs.kind", string(q.Kind)), "collection_runs.status", string(q.Status))
	if q.Status == RunQueued || q.Status == RunRunning {
		runs = runs.Where("collection_runs.ended_at IS NULL") // lets the index of open runs apply
	}
	if q.InstanceID != 0 {
		runs = runs.Where("collection_runs.instance_id = ?", q.InstanceID)
	}
	switch {
	case q.Database == "":
		return runs
	case !storable(q.Database):
		return runs.Where(nothing)
	}
	inInstance := tx.Table("instance_databases d").Select("d.name").Where("d.instance_id = collection_runs.instance_id")
	known := s.search(inInstance, q.Database, "d.name_fold")
	return runs.Where("(collection_runs.database_name = ? OR collection_runs.database_name IN (?))", q.Database, known)
}

// readRuns returns the runs of a query, newest first, with their InstanceName. The query must join the instances as i.
func readRuns(query *gorm.DB) ([]Run, error) {
	var runs []Run
	err := query.Select("collection_runs.*, i.name AS instance_name").Order("collection_runs.id DESC").Find(&runs).Error
	for i := range runs {
		err = errors.Join(err, runs[i].readFailure())
	}
	return runs, err
}

// LastGoodRun returns the run that stored a database's snapshot. It is CodeNotFound if there is none.
func (s *Store) LastGoodRun(ctx context.Context, databaseID int64) (Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return firstRun(db, "collection_runs.database_id = ? AND collection_runs.status = ?", databaseID, RunSucceeded)
}

// RunOfTables returns the open run of a database's tables, or else the one that ended last. It is CodeNotFound if there
// is neither.
func (s *Store) RunOfTables(ctx context.Context, instanceID int64, database string) (Run, error) {
	if !storable(database) {
		return Run{}, NotFound("refresh.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return firstRun(db, `collection_runs.id = coalesce(
		(SELECT max(id) FROM collection_runs
			WHERE ended_at IS NULL AND instance_id = ? AND kind = 'tables' AND database_name = ?),
		(SELECT max(id) FROM collection_runs WHERE ended_at IS NOT NULL AND database_id =
			(SELECT d.id FROM instance_databases d WHERE d.instance_id = ? AND d.name = ?)))`,
		instanceID, database, instanceID, database)
}

// NewestSync returns the newest run of an instance's databases. It is CodeNotFound if there is none.
func (s *Store) NewestSync(ctx context.Context, instanceID int64) (Run, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return firstRun(db, "collection_runs.instance_id = ? AND collection_runs.kind = 'databases'", instanceID)
}

// firstRun returns the newest run that meets the condition, or CodeNotFound.
func firstRun(tx *gorm.DB, condition string, args ...any) (Run, error) {
	runs, err := readRuns(tx.Model(&Run{}).Joins("JOIN instances i ON i.id = collection_runs.instance_id").
		Where(condition, args...).Limit(1))
	if err == nil && len(runs) == 0 {
		err = NotFound("refresh.not_found")
	}
	if err != nil {
		return Run{}, err
	}
	return runs[0], nil
}

// MayBeCancelledBy reports whether the user may cancel the run: its requester and admins may.
func (r *Run) MayBeCancelledBy(u *User) bool {
	return u.Role.May(PermAdmin) || r.UserID != nil && *r.UserID == u.ID
}

// usualRuns is how many of the last successful runs Usual is the median of.
const usualRuns = 5

// Usual has the median durations of recent runs; nil: none has succeeded.
type Usual struct {
	Total   *time.Duration // from start to end
	Storing *time.Duration
}

// UsualOf returns how long the recent successful runs took that collect the same as r.
func (s *Store) UsualOf(ctx context.Context, r Run) (Usual, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	same := db.Where("instance_id = ? AND kind = 'databases'", r.InstanceID)
	if r.Kind == RunTables {
		same = db.Where("database_id = (SELECT id FROM instance_databases WHERE instance_id = ? AND name = ?)",
			r.InstanceID, r.DatabaseName)
	}
	var last []Run
	err := same.Select("id, started_at, ended_at, storing_ms").
		Where("status = ? AND started_at IS NOT NULL", RunSucceeded).
		Order("id DESC").Limit(usualRuns).Find(&last).Error
	var total, storing []time.Duration
	for _, r := range last {
		total = append(total, r.Elapsed(time.Time{}))
		if r.StoringMS != nil {
			storing = append(storing, phaseTime(r.StoringMS))
		}
	}
	return Usual{Total: median(total), Storing: median(storing)}, err
}

// median returns the middle duration, of an even number the longer of the middle two; nil if there is none.
func median(of []time.Duration) *time.Duration {
	if len(of) == 0 {
		return nil
	}
	return &slices.Sorted(slices.Values(of))[len(of)/2]
}

// phaseTime returns the duration of n milliseconds; 0 for nil, a phase that has not ended.
func phaseTime(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Millisecond
}

// The rate of a reading is used after this time, and after this part of the tables.
const (
	rateAfter = time.Second
	rateParts = 50 // one part of so many
)

// Remaining estimates how much longer the run takes at now; nil: not enough is known. While the run is querying and
// reports its tables, the estimate is
//
//	time in the phase × (total − seen) ÷ seen + usual time of storing (0 where unknown)
//
// which grows while the run makes no progress. Otherwise it is the usual time less the time so far, and nil for a run
// that takes longer than usual: it is never negative.
func (r *Run) Remaining(now time.Time, usual Usual) *time.Duration {
	if r.Status != RunRunning || r.Ended() {
		return nil
	}
	if left := r.remainingByRate(now, usual); left != nil {
		return left
	}
	if r.Phase == PhaseStoring {
		return atLeastNothing(usual.Storing, r.Elapsed(now)-phaseTime(r.ConnectingMS)-phaseTime(r.QueryingMS))
	}
	return atLeastNothing(usual.Total, r.Elapsed(now))
}

func (r *Run) remainingByRate(now time.Time, usual Usual) *time.Duration {
	if r.Phase != PhaseQuerying || r.TablesSeen == nil || r.TablesTotal == nil {
		return nil
	}
	seen, total, spent := *r.TablesSeen, *r.TablesTotal, r.Elapsed(now)-phaseTime(r.ConnectingMS)
	if seen <= 0 || seen >= total || spent < rateAfter || seen*rateParts < total {
		return nil
	}
	left := time.Duration(float64(spent) * float64(total-seen) / float64(seen))
	if usual.Storing != nil {
		left += *usual.Storing
	}
	return &left
}

// atLeastNothing returns what is left of whole after spent; nil if nothing is left or whole is unknown.
func atLeastNothing(whole *time.Duration, spent time.Duration) *time.Duration {
	if whole == nil || *whole <= spent {
		return nil
	}
	left := *whole - spent
	return &left
}

// pruneBatch is how many runs one statement of PruneRuns reads.
const pruneBatch = 1000

// PruneRuns deletes the runs that ended before a time, in batches, and returns how many. It keeps the newest run of
// each database in the inventory, and the newest one that succeeded.
func (s *Store) PruneRuns(ctx context.Context, before time.Time) (int64, error) {
	before = stamp(before)
	var pruned, last int64
	for {
		batch, err := s.runsAfter(ctx, last)
		if err != nil || len(batch) == 0 || !batch[0].RequestedAt.Before(before) {
			return pruned, err
		}
		n, err := s.pruneBetween(ctx, batch[0].ID, batch[len(batch)-1].ID, before)
		if err != nil {
			return pruned, err
		}
		pruned, last = pruned+n, batch[len(batch)-1].ID
	}
}

func (s *Store) runsAfter(ctx context.Context, id int64) (batch []Run, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Select("id, requested_at").Where("id > ?", id).Order("id").Limit(pruneBatch).Find(&batch).Error
	return batch, err
}

func (s *Store) pruneBetween(ctx context.Context, first, last int64, before time.Time) (int64, error) {
	const newer = `EXISTS (SELECT 1 FROM collection_runs n WHERE n.instance_id = collection_runs.instance_id
		AND n.id > collection_runs.id AND n.kind = collection_runs.kind AND n.database_name = collection_runs.database_name`
	const unknown = "kind = 'tables' AND " + databaseOfRun + " IS NULL" // people request what does not exist
	db, done := bounded(ctx, s.writer)
	defer done()
	gone := db.Where("id BETWEEN ? AND ? AND ended_at < ?", first, last, before).Where(newer+") OR "+unknown).
		Where("(status <> ? OR "+newer+" AND n.status = ?))", RunSucceeded, RunSucceeded).Delete(&Run{})
	return gone.RowsAffected, gone.Error
}
