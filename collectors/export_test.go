package collectors

import (
	"context"
	"time"

	"whalefall/models"
)

// SetTimeout limits every collection of the service to d.
func (s *Service) SetTimeout(d time.Duration) {
	s.limit = func(models.RunKind) time.Duration { return d }
}

// Save is save.
func (s *Service) Save(ctx context.Context, collected models.Instance, store func(context.Context) error) error {
	return s.save(ctx, collected, store)
}

// SaveTimeout is saveTimeout.
const SaveTimeout = saveTimeout
