package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"whalefall/migrations"
	"whalefall/models"
)

// openStore opens the store with its keyset and migrates it. It creates data directory, keyset and store if they do not
// exist.
func openStore(ctx context.Context, s *Settings, log *slog.Logger, migrate models.Migrate) (*models.Store, error) {
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, err
	}
	keyset, err := loadKeyset(s)
	if err != nil {
		return nil, err
	}
	return models.Open(ctx, models.Options{
		Address: s.storeAddress(), Keyset: keyset, Zone: s.Timezone.Location, Migrate: migrate, Log: log,
		Schedule: s.schedule(), HistoryDays: s.HistoryDays, SessionIdle: s.SessionIdle, SessionLifetime: s.SessionLifetime,
	})
}

// loadKeyset reads the keyset from the settings or the data directory. Without either it creates one.
func loadKeyset(s *Settings) (models.Keyset, error) {
	path := s.keysetPath()
	if _, err := os.Stat(path); s.Keyset == "" && errors.Is(err, os.ErrNotExist) {
		return models.CreateKeyset(path)
	}
	return models.LoadKeyset(path, s.Keyset)
}

// withStore calls work with the migrated store, and closes it.
func withStore(ctx context.Context, s *Settings, p Program, work func(*models.Store) error) error {
	log := newLogger(s, p.Err)
	store, err := openStore(ctx, s, log, migrations.Up)
	if err != nil {
		return err
	}
	defer closing(log, "store", store.Close)
	return work(store)
}

// newLogger returns a logger to out with the level and format of the settings.
func newLogger(s *Settings, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// closing calls closer and logs its error.
func closing(log *slog.Logger, what string, closer func() error) {
	if err := closer(); err != nil {
		log.Warn("not closed cleanly", "what", what, "error", err)
	}
}
