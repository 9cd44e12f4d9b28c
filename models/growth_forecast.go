package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// CapacityCards holds the figures above the database list. Nil means there is no data yet.
type CapacityCards struct {
	UsedBytes     *int64 // newest instance total
	CapacityBytes *int64 // of the underlying disk; nil: not collected from any engine yet
	DailyGrowth   *int64 // bytes a day over the last 7 days; nil: fewer than two days known
	DaysLeft      *int64 // (capacity − used) / daily growth; nil: capacity unknown or no growth
	Abnormal      int64  // active databases whose newest measurement failed or is missing
	Active        int64
	Gone          int64
	LastDay       string // day of the newest total
	MeasuredDays  int64  // days with a total among the last 7
}

// databaseCounts counts the databases of an instance.
type databaseCounts struct{ Active, Gone, Abnormal int64 }

const databaseCountsSQL = `count(CASE WHEN d.gone_at IS NULL THEN 1 END) AS active,
	count(CASE WHEN d.gone_at IS NOT NULL THEN 1 END) AS gone,
	count(CASE WHEN d.gone_at IS NULL
		AND (d.last_error IS NOT NULL OR s.size_bytes IS NULL OR s.day < ?) THEN 1 END) AS abnormal`

// Cards returns the figures above an instance's database list.
func (s *Store) Cards(ctx context.Context, instanceID int64) (CapacityCards, error) {
	var cards CapacityCards
	err := s.view(ctx, func(tx *gorm.DB) error {
		var newest []InstanceSizeStat
		err := tx.Where("instance_id = ?", instanceID).Order("day DESC").Limit(growthDays).Find(&newest).Error
		if err != nil {
			return err
		}
		if err := cards.measure(newest, s.day(s.Now(), 1-growthDays)); err != nil {
			return err
		}
		all := DatabaseQuery{InstanceID: instanceID, IncludeInactive: true}
		var counts databaseCounts
		err = s.latestDatabases(tx, all).Select(databaseCountsSQL, cards.LastDay).Scan(&counts).Error
		cards.Active, cards.Gone, cards.Abnormal = counts.Active, counts.Gone, counts.Abnormal
		return err
	})
	return cards, err
}

// measure computes usage and growth from an instance's totals, newest first. Growth counts from the day since
// (YYYY-MM-DD).
func (c *CapacityCards) measure(totals []InstanceSizeStat, since string) error {
	if len(totals) == 0 {
		return nil
	}
	c.UsedBytes, c.LastDay = &totals[0].SizeBytes, totals[0].Day
	var oldest InstanceSizeStat
	for _, total := range totals {
		if total.Day >= since {
			c.MeasuredDays++
			oldest = total
		}
	}
	if c.MeasuredDays < 2 {
		return nil
	}
	days, err := daysBetween(oldest.Day, c.LastDay)
	if err != nil {
		return err
	}
	growth := (*c.UsedBytes - oldest.SizeBytes) / days
	c.DailyGrowth = &growth
	return nil
}

func daysBetween(first, last string) (int64, error) {
	from, err := time.Parse(time.DateOnly, first)
	if err != nil {
		return 0, err
	}
	to, err := time.Parse(time.DateOnly, last)
	return int64(to.Sub(from) / (24 * time.Hour)), err
}
