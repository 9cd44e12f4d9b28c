package collectors_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

const mebibyte = 1 << 20

// spending returns a connection that counts against the budget and always has something to read.
func spending(t *testing.T, b *collectors.Budget) io.Reader {
	t.Helper()
	dial := b.Dial(func(context.Context, string, string) (net.Conn, error) { return endless{}, nil })
	conn, err := dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

type endless struct{ net.Conn }

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func read(from io.Reader, bytes int64) error {
	_, err := io.CopyN(io.Discard, from, bytes)
	return err
}

func TestBudget_BeforeLogin(t *testing.T) {
	t.Parallel()
	var b collectors.Budget
	for range 2 { // each connection has its own
		conn := spending(t, &b)
		if err := read(conn, mebibyte); err != nil {
			t.Fatal(err)
		}
		if err := read(conn, 1); !errors.Is(err, collectors.ErrProtocol) {
			t.Errorf("got %v", err)
		}
	}
	if err := b.Explain(io.EOF); !errors.Is(err, collectors.ErrProtocol) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if err := b.Explain(nil); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestBudget_AfterLogin(t *testing.T) {
	t.Parallel()
	var b collectors.Budget
	conn := spending(t, &b)
	b.LoggedIn()
	if err := read(conn, 512*mebibyte); err != nil {
		t.Fatal(err)
	}
	if err := b.Explain(io.EOF); err != io.EOF { //nolint:errorlint // nothing may be added
		t.Errorf("got %v", err)
	}
	if err := read(conn, 1); models.AsError(err).Key != "collect.too_much" {
		t.Errorf("got %v", err)
	}
}
