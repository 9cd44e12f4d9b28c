package testenv

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a client and a server on 127.0.0.1 and does to their connections what networks do. It knows no
// protocol, so that clients have to talk to it without TLS where Pause is to find a text.
type Proxy struct {
	Host string
	Port int

	server   string
	sent     atomic.Int64
	received atomic.Int64
	work     sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and renewed with every change of what stands below
	listener net.Listener
	conns    map[*proxied]bool
	most     int
	way      way
	delay    time.Duration
	limit    int // connections at once; 0: any number
	paused   bool
	mark     []byte // what a client has to send for Pause; nil: nothing waits for it
	met      chan struct{}
	closed   bool
}

// way is how the proxy treats what it is given.
type way int

const (
	wayOpen  way = iota // passes it on
	wayDrop             // takes it and passes nothing on, in neither direction
	wayReset            // resets the connection
)

// proxied is one connection through the proxy.
type proxied struct {
	client, server net.Conn // server is nil until the proxy has reached it
	tail           []byte   // the end of what the client sent last, where a mark may have begun
	gone           chan struct{}
}

// proxyDial is how long the server may take to accept a connection.
const proxyDial = 5 * time.Second

// NewProxy stands before host:port until the test ends.
func NewProxy(t testing.TB, host string, port int) *Proxy {
	t.Helper()
	p := &Proxy{
		Host: "127.0.0.1", server: net.JoinHostPort(host, strconv.Itoa(port)),
		changed: make(chan struct{}), conns: map[*proxied]bool{},
	}
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// listen accepts on the port it had before; the first time, on any that is free.
func (p *Proxy) listen() error {
	listener, err := net.Listen("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if err != nil {
		return err
	}
	p.listener, p.Port = listener, listener.Addr().(*net.TCPAddr).Port
	p.work.Go(func() { p.accept(listener) })
	return nil
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		if c := p.admit(client); c != nil {
			p.work.Go(func() { p.serve(c) })
		}
	}
}

// admit is nil for a connection that is refused at once.
func (p *Proxy) admit(client net.Conn) *proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.way == wayReset || p.limit > 0 && len(p.conns) >= p.limit {
		reset(client)
		return nil
	}
	c := &proxied{client: client, gone: make(chan struct{})}
	p.conns[c] = true
	p.most = max(p.most, len(p.conns))
	if p.mark != nil && len(p.mark) == 0 {
		p.meet()
	}
	return c
}

// reset has the other side read "connection reset by peer".
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *Proxy) serve(c *proxied) {
	defer p.forget(c)
	if p.pass(c) {
		server, err := net.DialTimeout("tcp", p.server, proxyDial)
		if err != nil {
			reset(c.client)
			return
		}
		if !p.reached(c, server) {
			return
		}
		var answers sync.WaitGroup
		answers.Go(func() { p.pump(c, server, c.client, &p.received, nil) })
		p.pump(c, c.client, server, &p.sent, c)
		answers.Wait()
	}
}

// reached keeps the server's half of a connection, unless the connection has ended meanwhile.
func (p *Proxy) reached(c *proxied, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-c.gone:
		_ = server.Close()
		return false
	default:
		c.server = server
		return true
	}
}

func (p *Proxy) forget(c *proxied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut(c)
	delete(p.conns, c)
}

// cut ends both halves of a connection; the caller holds the lock.
func (p *Proxy) cut(c *proxied) {
	select {
	case <-c.gone:
		return
	default:
	}
	close(c.gone)
	if p.way == wayReset {
		reset(c.client)
	} else {
		_ = c.client.Close()
	}
	if c.server != nil {
		_ = c.server.Close()
	}
}

// pump carries bytes one way until either side ends, then ends the connection.
func (p *Proxy) pump(c *proxied, from, to net.Conn, count *atomic.Int64, watched *proxied) {
	defer p.end(c)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			count.Add(int64(n))
			if watched != nil {
				p.look(watched, buffer[:n])
			}
			if p.pass(c) {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// end has the other side learn that one side has ended, unless nothing reaches it: then not before that changes.
func (p *Proxy) end(c *proxied) {
	for {
		p.mu.Lock()
		changed := p.changed
		if p.way != wayDrop {
			p.cut(c)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-c.gone:
			return
		case <-changed:
		}
	}
}

// look pauses the proxy when the client has sent the mark, be it in two pieces.
func (p *Proxy) look(c *proxied, sent []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mark) == 0 {
		return
	}
	seen := slices.Concat(c.tail, sent)
	if bytes.Contains(seen, p.mark) {
		p.meet()
		return
	}
	c.tail = bytes.Clone(seen[max(0, len(seen)-len(p.mark)+1):])
}

// meet pauses; the caller holds the lock.
func (p *Proxy) meet() {
	p.paused, p.mark = true, nil
	close(p.met)
	p.tell()
}

// tell wakes what waits for a change; the caller holds the lock.
func (p *Proxy) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// pass waits until bytes of the connection may go on, and reports whether they do.
func (p *Proxy) pass(c *proxied) bool {
	var late <-chan time.Time
	for {
		p.mu.Lock()
		changed, paused, way, delay := p.changed, p.paused, p.way, p.delay
		p.mu.Unlock()
		switch {
		case way != wayOpen:
			return p.swallow(c, changed)
		case paused:
			late = nil
		case delay == 0:
			return true
		case late == nil:
			late = time.After(delay)
		}
		select {
		case <-c.gone:
			return false
		case <-changed:
		case <-late:
			return true
		}
	}
}

// swallow says that what arrived is lost. A connection that has no server yet stays open until the way changes, as one
// that nobody answers does.
func (p *Proxy) swallow(c *proxied, changed <-chan struct{}) bool {
	if c.server == nil {
		select {
		case <-c.gone:
		case <-changed:
		}
	}
	return false
}

// Pause stops all connections as soon as a client sends the text, which itself does not reach the server any more; with
// an empty text, as soon as a client connects. The channel is closed when that has happened. Resume lets go on.
func (p *Proxy) Pause(text string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.met = []byte(text), make(chan struct{})
	for c := range p.conns {
		c.tail = nil
	}
	return p.met
}

// Resume ends a pause, and the wait for one.
func (p *Proxy) Resume() { p.change(func() { p.paused, p.mark = false, nil }) }

// Delay has every piece of data take so much longer.
func (p *Proxy) Delay(by time.Duration) { p.change(func() { p.delay = by }) }

// Limit refuses connections beyond so many at once; 0 refuses none.
func (p *Proxy) Limit(connections int) { p.change(func() { p.limit = connections }) }

// Drop loses all that is sent from now on, without a word to either side.
func (p *Proxy) Drop() { p.change(func() { p.way, p.paused, p.mark = wayDrop, false, nil }) }

// Reset resets all connections, and new ones at once.
func (p *Proxy) Reset() {
	p.change(func() {
		p.way, p.paused, p.mark = wayReset, false, nil
		for c := range p.conns {
			p.cut(c)
		}
	})
}

// Refuse resets all connections and does not listen any more, as when the server's process is gone.
func (p *Proxy) Refuse() {
	p.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
}

// Heal is a network without faults: connections that lost bytes end, delays, limits and pauses do, too.
func (p *Proxy) Heal(t testing.TB) {
	t.Helper()
	p.change(func() {
		if p.way != wayOpen {
			for c := range p.conns {
				p.cut(c)
			}
		}
		p.way, p.delay, p.limit, p.paused, p.mark = wayOpen, 0, 0, false, nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
}

func (p *Proxy) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.tell()
}

// Open is how many connections there are now, Most how many there were at once.
func (p *Proxy) Open() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) }

// Most is the largest number of connections there have been at once.
func (p *Proxy) Most() int { p.mu.Lock(); defer p.mu.Unlock(); return p.most }

// Bytes are how many clients have sent and servers have answered so far, those that were lost included.
func (p *Proxy) Bytes() (sent, received int64) { return p.sent.Load(), p.received.Load() }

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close()
	for c := range p.conns {
		p.cut(c)
	}
	p.mu.Unlock()
	p.work.Wait()
}
