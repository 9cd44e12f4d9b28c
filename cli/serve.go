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
	"whalefall/handlers"
	"whalefall/migrations"
	"whalefall/models"
)

// Deadlines of the process.
const (
	readHeaderTimeout = 10 * time.Second  // a client's request header
	readTimeout       = 60 * time.Second  // a client's whole request
	writeTimeout      = 150 * time.Second // an answer, which may wait 120 s for a collection
	idleTimeout       = 120 * time.Second // a kept-alive connection
	stopTimeout       = 20 * time.Second  // requests and collections at the stop
)

type serveCmd struct{}

// Run serves until ctx ends, then lets running requests and collections finish or end.
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
	service := collectors.NewService(store, p.Engines(s), log)
	service.Parallel, service.KeepRuns = s.Parallel, time.Duration(s.RunsDays)*24*time.Hour

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	if err := service.Resume(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler: handlers.New(handlers.Config{
			Store: store, Collect: service, Zone: s.Timezone.Location, CookieSecure: s.CookieSecure,
			TrustedProxies: s.TrustedProxies, Log: log, Version: p.Version,
			Limits: handlers.Limits{Token: s.RateToken, Address: s.RateAddress}, MetricsToken: s.MetricsToken,
		}),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	fmt.Fprintf(p.Out, "WhaleFall listens on http://%s\n", listener.Addr())
	return serveUntil(ctx, server, listener, service)
}

// serveUntil serves until ctx ends or the server fails, and returns when everything has stopped.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, service *collectors.Service) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, errors.New("stop deadline"))
	defer cancel()
	return errors.Join(err, service.Close(stop), server.Shutdown(stop))
}

// firstStart gives an empty store its first admin, whose password is printed once, and registers the
// embedded store itself as the first instance.
func firstStart(ctx context.Context, s *Settings, store *models.Store, out io.Writer) error {
	users, err := store.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	password := s.AdminPassword
	if password == "" {
		password = newPassword()
	}
	_, err = store.CreateUser(ctx, models.User{Username: "admin", Role: models.RoleAdmin, IsActive: true}, password)
	var e *models.Error
	if errors.As(err, &e) && e.Code == models.CodeUsernameExists {
		return nil // another replica was first
	}
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	if s.AdminPassword == "" {
		fmt.Fprintf(out, "First start: log in as admin with the password %s (shown only now)\n", password)
	}
	return registerOwnStore(ctx, store)
}

// registerOwnStore makes the product show itself: a fresh install has one instance without any server.
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

// newPassword is a random password that the password policy accepts.
func newPassword() string {
	for {
		if password := rand.Text()[:12] + rand.Text()[:4] + "a"; models.CheckPassword(password) == nil {
			return password
		}
	}
}
