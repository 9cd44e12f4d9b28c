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

// Proxy forwards connections to a server on 127.0.0.1 and injects network faults. It knows no protocol, so clients must
// not use TLS if Pause is to find a text.
type Proxy struct {
	Host string
	Port int

	server   string
	sent     atomic.Int64
	received atomic.Int64
	work     sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever a field below changes
	listener net.Listener  // nil after Refuse
	conns    map[*proxied]bool
	peak     int
	mode     mode
	delay    time.Duration
	limit    int // concurrent connections; 0: no limit
	paused   bool
	trigger  []byte        // the text that Pause waits for, empty for a connection; nil: no pause is pending
	reached  chan struct{} // closed when the pending pause begins
	closed   bool
}

// mode is what the proxy does with data.
type mode int

const (
	modeForward mode = iota
	modeDrop         // reads it and forwards nothing, in either direction
	modeReset        // resets the connection
)

// proxied is a connection through the proxy.
type proxied struct {
	client, server net.Conn      // server is nil until the proxy has connected to it
	tail           []byte        // the end of what the client sent last, where the trigger may begin
	closed         chan struct{} // closed with the connection
}

// dialTimeout limits how long the proxy waits for the server to accept a connection.
const dialTimeout = 30 * time.Second

// NewProxy starts a proxy for host:port that runs until the test ends.
func NewProxy(t testing.TB, host string, port int) *Proxy {
	t.Helper()
	p := &Proxy{
		Host: "127.0.0.1", server: net.JoinHostPort(host, strconv.Itoa(port)),
		changed: make(chan struct{}), conns: map[*proxied]bool{},
	}
	p.mu.Lock()
	err := p.listen()
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// listen accepts connections on a free port, and from then on always on the same. The caller holds the lock.
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

// admit registers a connection. It returns nil for one that it has reset instead.
func (p *Proxy) admit(client net.Conn) *proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.mode == modeReset || p.limit > 0 && len(p.conns) >= p.limit {
		reset(client)
		return nil
	}
	c := &proxied{client: client, closed: make(chan struct{})}
	p.conns[c] = true
	p.peak = max(p.peak, len(p.conns))
	if p.trigger != nil && len(p.trigger) == 0 {
		p.pauseNow()
	}
	return c
}

// reset makes the peer read "connection reset by peer".
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *Proxy) serve(c *proxied) {
	defer p.remove(c)
	if !p.mayForward(c) {
		return
	}
	server, err := net.DialTimeout("tcp", p.server, dialTimeout)
	if err != nil {
		reset(c.client)
		return
	}
	if !p.attach(c, server) {
		return
	}
	var responses sync.WaitGroup
	responses.Go(func() { p.copy(c, server, c.client, &p.received, nil) })
	p.copy(c, c.client, server, &p.sent, c)
	responses.Wait()
}

// attach stores the connection to the server. It reports false, and closes it, if the client has gone meanwhile.
func (p *Proxy) attach(c *proxied, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-c.closed:
		_ = server.Close()
		return false
	default:
		c.server = server
		return true
	}
}

func (p *Proxy) remove(c *proxied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut(c)
	delete(p.conns, c)
}

// cut closes both halves of a connection. The caller holds the lock.
func (p *Proxy) cut(c *proxied) {
	select {
	case <-c.closed:
		return
	default:
	}
	close(c.closed)
	if p.mode == modeReset {
		reset(c.client)
	} else {
		_ = c.client.Close()
	}
	if c.server != nil {
		_ = c.server.Close()
	}
}

// copy forwards bytes in one direction until either side ends, then closes the connection.
func (p *Proxy) copy(c *proxied, from, to net.Conn, count *atomic.Int64, watched *proxied) {
	defer p.end(c)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			count.Add(int64(n))
			if watched != nil {
				p.scan(watched, buffer[:n])
			}
			if p.mayForward(c) {
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

// end closes a connection of which one side has ended. While data is dropped, the other side does not learn of it.
func (p *Proxy) end(c *proxied) {
	for {
		p.mu.Lock()
		changed := p.changed
		if p.mode != modeDrop {
			p.cut(c)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-c.closed:
			return
		case <-changed:
		}
	}
}

// scan pauses the proxy once the client has sent the trigger, which may arrive in two pieces.
func (p *Proxy) scan(c *proxied, sent []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.trigger) == 0 {
		return
	}
	seen := slices.Concat(c.tail, sent)
	if bytes.Contains(seen, p.trigger) {
		p.pauseNow()
		return
	}
	c.tail = bytes.Clone(seen[max(0, len(seen)-len(p.trigger)+1):])
}

// pauseNow begins the pending pause. The caller holds the lock.
func (p *Proxy) pauseNow() {
	p.paused, p.trigger = true, nil
	close(p.reached)
	p.broadcast()
}

// broadcast wakes all that wait for a change. The caller holds the lock.
func (p *Proxy) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// mayForward waits out pauses and delays, and reports whether data of the connection is to be forwarded.
func (p *Proxy) mayForward(c *proxied) bool {
	var delayed <-chan time.Time
	for {
		p.mu.Lock()
		changed, paused, mode, delay := p.changed, p.paused, p.mode, p.delay
		p.mu.Unlock()
		switch {
		case mode != modeForward:
			p.holdUnconnected(c, changed)
			return false
		case paused:
			delayed = nil
		case delay == 0:
			return true
		case delayed == nil:
			delayed = time.After(delay)
		}
		select {
		case <-c.closed:
			return false
		case <-changed:
		case <-delayed:
			return true
		}
	}
}

// holdUnconnected keeps a connection without a server open until the mode changes, like one that is never answered.
func (p *Proxy) holdUnconnected(c *proxied, changed <-chan struct{}) {
	if c.server != nil {
		return
	}
	select {
	case <-c.closed:
	case <-changed:
	}
}

// Pause holds all connections from the moment a client sends the text, which no longer reaches the server, or connects,
// if the text is empty. The returned channel is closed at that moment. Resume ends the pause.
func (p *Proxy) Pause(text string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger, p.reached = []byte(text), make(chan struct{})
	for c := range p.conns {
		c.tail = nil
	}
	return p.reached
}

// Resume ends a pause, or cancels a pending one.
func (p *Proxy) Resume() { p.change(func() { p.paused, p.trigger = false, nil }) }

// Delay delays every piece of data.
func (p *Proxy) Delay(by time.Duration) { p.change(func() { p.delay = by }) }

// Limit resets connections beyond the number of concurrent ones; 0 lifts the limit.
func (p *Proxy) Limit(connections int) { p.change(func() { p.limit = connections }) }

// Drop discards all data from now on; neither side is notified.
func (p *Proxy) Drop() { p.change(func() { p.mode, p.paused, p.trigger = modeDrop, false, nil }) }

// Reset resets all connections, and new ones as soon as they are made.
func (p *Proxy) Reset() {
	p.change(func() {
		p.mode, p.paused, p.trigger = modeReset, false, nil
		for c := range p.conns {
			p.cut(c)
		}
	})
}

// Refuse resets all connections and stops listening, as if the server's process were gone.
func (p *Proxy) Refuse() {
	p.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlisten()
}

func (p *Proxy) unlisten() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// Heal ends all faults. Connections that lost data are closed.
func (p *Proxy) Heal(t testing.TB) {
	t.Helper()
	p.change(func() {
		if p.mode != modeForward {
			for c := range p.conns {
				p.cut(c)
			}
		}
		p.mode, p.delay, p.limit, p.paused, p.trigger = modeForward, 0, 0, false, nil
	})
	WaitFor(t, "the proxy's port to be free again", func() bool { // another connection may have it for a moment
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.listener != nil || p.listen() == nil
	})
}

func (p *Proxy) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.broadcast()
}

// Open returns the number of connections.
func (p *Proxy) Open() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) }

// Peak returns the largest number of concurrent connections so far.
func (p *Proxy) Peak() int { p.mu.Lock(); defer p.mu.Unlock(); return p.peak }

// Bytes returns how many bytes the clients and the server have sent, including those that were dropped.
func (p *Proxy) Bytes() (sent, received int64) { return p.sent.Load(), p.received.Load() }

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.unlisten()
	for c := range p.conns {
		p.cut(c)
	}
	p.mu.Unlock()
	p.work.Wait()
}
