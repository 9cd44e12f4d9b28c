package testenv

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// silence is how long nothing must arrive where nothing may.
const silence = 50 * time.Millisecond

// newEchoProxy starts a proxy before a server that echoes all it receives.
func newEchoProxy(t *testing.T) *Proxy {
	t.Helper()
	return NewProxy(t, "127.0.0.1", Listen(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) }))
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// exchange sends the text and returns the line received within the limit.
func exchange(t *testing.T, conn net.Conn, text string, limit time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func wantEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	wantLine(t, conn, "hello\n", "hello\n")
}

func wantLine(t *testing.T, conn net.Conn, text, want string) {
	t.Helper()
	if got, err := exchange(t, conn, text, Patience); got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func wantSilence(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got, err := exchange(t, conn, text, silence)
	if wait, ok := err.(net.Error); !ok || !wait.Timeout() { //nolint:errorlint // a net.Conn returns it as it is
		t.Errorf("got %q, %v, want silence", got, err)
	}
}

// wantRefusal expects a new connection to be reset, before or after the client's system considers it established.
func wantRefusal(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if err == nil {
		defer func() { _ = conn.Close() }()
		wantReset(t, conn)
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := exchange(t, conn, "hello\n", Patience); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %q, %v, want a reset", got, err)
	}
}

func TestProxy_Pause(t *testing.T) {
	t.Parallel()
	p := newEchoProxy(t)
	conn := dial(t, p)
	reached := p.Pause("HALVES")
	wantEcho(t, conn)
	half := make([]byte, 3)
	if _, err := io.WriteString(conn, "HAL"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, half); err != nil || string(half) != "HAL" {
		t.Fatalf("got %q, %v from half of the text", half, err)
	}
	if _, err := io.WriteString(conn, "VES\n"); err != nil {
		t.Fatal(err)
	}
	WaitForSignal(t, "the pause", reached)
	wantSilence(t, dial(t, p), "another\n")
	p.Resume()
	wantLine(t, conn, "", "VES\n")

	if sent, received := p.Bytes(); sent == 0 || received == 0 {
		t.Errorf("got %d bytes sent and %d received", sent, received)
	}
}

func TestProxy_PauseAtConnect(t *testing.T) {
	t.Parallel()
	p := newEchoProxy(t)
	reached := p.Pause("")
	conn := dial(t, p)
	WaitForSignal(t, "the pause", reached)
	wantSilence(t, conn, "hello\n")
	p.Heal(t)
	wantLine(t, conn, "", "hello\n")
}

func TestProxy_Drop(t *testing.T) {
	t.Parallel()
	p := newEchoProxy(t)
	before := dial(t, p)
	wantEcho(t, before)
	p.Drop()
	during := dial(t, p)
	wantSilence(t, before, "lost\n")
	wantSilence(t, during, "lost\n")
	p.Heal(t)
	wantReset(t, before)
	wantReset(t, during)
	wantEcho(t, dial(t, p))
}

func TestProxy_ResetAndRefuse(t *testing.T) {
	t.Parallel()
	p := newEchoProxy(t)
	conn := dial(t, p)
	wantEcho(t, conn)
	p.Reset()
	wantReset(t, conn)
	wantRefusal(t, p)
	p.Refuse()
	if conn, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port))); err == nil {
		_ = conn.Close()
		t.Error("the port still listens")
	}
	p.Heal(t)
	wantEcho(t, dial(t, p))
}

func TestProxy_DelayAndLimit(t *testing.T) {
	t.Parallel()
	p := newEchoProxy(t)
	p.Delay(30 * time.Millisecond)
	start := time.Now()
	conn := dial(t, p)
	wantEcho(t, conn)
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("a round trip took %v, want twice the delay or more", took)
	}
	p.Limit(1)
	wantRefusal(t, p)
	if p.Open() != 1 || p.Peak() != 1 {
		t.Errorf("got %d connections, %d at most, want 1", p.Open(), p.Peak())
	}
	p.Heal(t)
	wantEcho(t, dial(t, p))
}
