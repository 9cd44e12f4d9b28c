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

// echo answers each line with itself until the test ends.
func echo(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().(*net.TCPAddr).Port
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

// say sends a text and returns what came back within the time.
func say(t *testing.T, conn net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn).ReadString('\n')
}

const soon, never = 5 * time.Second, 50 * time.Millisecond

func wantEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := say(t, conn, "hello\n", soon); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func wantSilence(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got, err := say(t, conn, text, never)
	if wait, ok := err.(net.Error); !ok || !wait.Timeout() { //nolint:errorlint // a net.Conn returns it as it is
		t.Errorf("got %q, %v", got, err)
	}
}

// wantRefusal dials and is reset, before or after the client's system takes the connection for made.
func wantRefusal(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if err == nil {
		defer func() { _ = conn.Close() }()
		wantReset(t, conn)
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := say(t, conn, "hello\n", soon); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAProxyPausesAtAText(t *testing.T) {
	p := NewProxy(t, "127.0.0.1", echo(t))
	conn := dial(t, p)
	met := p.Pause("HALVES")
	wantEcho(t, conn)
	wantSilence(t, conn, "HAL")
	if _, err := io.WriteString(conn, "VES\n"); err != nil {
		t.Fatal(err)
	}
	<-met
	wantSilence(t, dial(t, p), "another\n")
	p.Resume()
	if got, err := say(t, conn, "", soon); got != "VES\n" { // its first half came back before
		t.Errorf("got %q, %v", got, err)
	}
	met = p.Pause("")
	late := dial(t, p)
	<-met
	wantSilence(t, late, "hello\n")
	p.Heal(t)
	if got, err := say(t, late, "", soon); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if sent, received := p.Bytes(); sent == 0 || received == 0 {
		t.Errorf("%d bytes sent, %d received", sent, received)
	}
}

func TestAProxyLosesAndResets(t *testing.T) {
	p := NewProxy(t, "127.0.0.1", echo(t))
	before := dial(t, p)
	wantEcho(t, before)
	p.Drop()
	during := dial(t, p)
	wantSilence(t, before, "lost\n")
	wantSilence(t, during, "lost\n")
	p.Heal(t)
	wantReset(t, before)
	wantReset(t, during)
	again := dial(t, p)
	wantEcho(t, again)
	p.Reset()
	wantReset(t, again)
	wantRefusal(t, p)
	p.Refuse()
	if conn, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port))); err == nil {
		_ = conn.Close()
		t.Error("somebody listens")
	}
	p.Heal(t)
	wantEcho(t, dial(t, p))
}

func TestAProxyDelaysAndLimits(t *testing.T) {
	p := NewProxy(t, "127.0.0.1", echo(t))
	p.Delay(30 * time.Millisecond)
	began := time.Now()
	conn := dial(t, p)
	wantEcho(t, conn)
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %v", took)
	}
	p.Limit(1)
	wantRefusal(t, p)
	if p.Open() != 1 || p.Most() != 1 {
		t.Errorf("%d connections, %d at most", p.Open(), p.Most())
	}
	p.Heal(t)
	wantEcho(t, dial(t, p))
}
