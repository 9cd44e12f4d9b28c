package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/handlers"
	"whalefall/migrations"
	"whalefall/models"
)

// Deadlines of the HTTP server and of the graceful stop.
const (
	readHeaderTimeout = 10 * time.Second  // for a client to send its request header
	readTimeout       = 60 * time.Second  // for a client to send its whole request
	writeTimeout      = 150 * time.Second // for an answer, which may wait 120 s for a collection
	idleTimeout       = 120 * time.Second // for the next request on a connection
	stopTimeout       = 20 * time.Second  // for requests and collections to finish at the stop
)

// maxHeaderBytes bounds the header of a request, which anybody may send.
const maxHeaderBytes = 32 << 10

type serveCmd struct{}

// Run serves until ctx ends, then gives running requests and collections stopTimeout to finish.
func (serveCmd) Run(ctx context.Context, s *Settings, p Program) error {
	log := newLogger(s, p.Err)
	store, err := openStore(ctx, s, log, migrations.Up)
	if err != nil {
		return err
	}
	defer closing(log, "store", store.Close)
	if err := firstStart(ctx, s, store, p.Out); err != nil {
		return err
	}
	metrics := handlers.NewMetrics(store, p.Version)
	service := collectors.NewService(store, p.Engines(s, log), log)
	runner := jobs.New(store, service, jobs.Options{
		Log: log, Parallel: s.Parallel, KeepRuns: days(s.RunsDays), KeepAudit: days(s.AuditDays),
		Observe: metrics.ObserveCollection,
	})

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	if err := runner.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler: handlers.New(handlers.Config{ //nolint:contextcheck // a handler takes the context of its request
			Store: store, Collect: service, Runs: runner, Metrics: metrics, Zone: s.Timezone.Location,
			APILanguage:  s.APILanguage,
			CookieSecure: s.CookieSecure, TrustedProxies: s.TrustedProxies, Log: log, Version: p.Version,
			Limits: handlers.Limits{Token: s.RateToken, Address: s.RateAddress}, MetricsToken: s.MetricsToken,
		}),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	fmt.Fprintf(p.Out, "WhaleFall is listening on http://%s\n", listener.Addr())
	return serveUntil(ctx, server, listener, runner)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// serveUntil serves until ctx ends or the server fails, stops the collections and the server, and returns their errors.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, runner *jobs.Runner) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, errors.New("stop deadline"))
	defer cancel()
	return errors.Join(err, runner.Close(stop), server.Shutdown(stop))
}

// firstStart creates the first admin in a store without users, prints a generated password to out, and registers the
// embedded store as the first instance.
func firstStart(ctx context.Context, s *Settings, store *models.Store, out io.Writer) error {
	users, err := store.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	admin := models.User{Username: "admin", Role: models.RoleAdmin, IsActive: true}
	password := s.AdminPassword
	if password == "" {
		password, admin.MustChangePassword = newPassword(), true
	}
	_, err = store.CreateUser(ctx, admin, password)
	var e *models.Error
	if errors.As(err, &e) && e.Code == models.CodeUsernameExists {
		return nil // another replica created it
	}
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	if s.AdminPassword == "" {
		fmt.Fprintf(out, "First start: log in as admin with the password %s (shown only once; change it there)\n", password)
	}
	return registerOwnStore(ctx, store)
}

// registerOwnStore registers the embedded store as an instance, so that a fresh install has something to show. It does
// nothing on a shared store.
func registerOwnStore(ctx context.Context, store *models.Store) error {
	if store.Path() == "" {
		return nil
	}
	path, err := filepath.Abs(store.Path())
	if err != nil {
		return err
	}
	_, err = store.CreateInstance(ctx, models.Instance{
		Name: "本机存储", DBType: models.SQLite, DatabaseName: path, IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	return err
}

// newPassword returns a random password that the password policy accepts.
func newPassword() string {
	for {
		if password := rand.Text()[:12] + rand.Text()[:4] + "a"; models.CheckPassword(password) == nil {
			return password
		}
	}
}
