package tds

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrAttention is the cause of a request's context that ends because the client sent an attention.
var ErrAttention = errors.New("attention")

// serverName is the name of the server's program, which drivers show.
const serverName = "Microsoft SQL Server"

// conn is a connection after its login.
type conn struct {
	transport   io.ReadWriter
	session     Session
	packetSize  int
	transaction uint64 // 0: none

	mu      sync.Mutex
	running context.CancelCauseFunc // cancels the running request; nil: none
}

func (s *Server) serve(ctx context.Context, netConn net.Conn) {
	_ = netConn.SetDeadline(time.Now().Add(handshakeTimeout))
	transport, login, packetSize, err := s.login(ctx, netConn)
	if err != nil {
		return
	}
	welcome, refused := s.handler.Login(ctx, login)
	if welcome.Session != nil {
		defer welcome.Session.Close()
	}
	w := newWriter(transport, packetSize)
	if refused != nil {
		_ = w.refuse(refused)
		return
	}
	if err := w.welcome(welcome, s.version(), packetSize); err != nil {
		return
	}
	_ = netConn.SetDeadline(time.Time{})
	c := &conn{transport: transport, session: welcome.Session, packetSize: packetSize}
	c.requests(ctx, netConn)
}

// requests answers requests until the connection or the context ends. Another goroutine reads, so that an attention is
// seen during a request; both end together.
func (c *conn) requests(ctx context.Context, netConn net.Conn) {
	ctx, stop := context.WithCancel(ctx)
	queue := make(chan message)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer stop()
		defer close(queue)
		c.read(ctx, queue)
	})
	defer reading.Wait()
	defer func() { _ = netConn.Close() }()
	defer stop()
	for m := range queue {
		if c.answer(ctx, m) != nil {
			return
		}
	}
}

func (c *conn) read(ctx context.Context, queue chan<- message) {
	for {
		m, err := readMessage(c.transport)
		if err != nil {
			return
		}
		if m.kind == packetAttention && c.interrupt() {
			continue
		}
		select {
		case queue <- m:
		case <-ctx.Done():
			return
		}
	}
}

// interrupt cancels the running request, whose answer then acknowledges the attention, and reports whether there was
// one.
func (c *conn) interrupt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return false
	}
	c.running(ErrAttention)
	return true
}

// begin returns the context of a request. The function end ends it, and reports whether an attention came before.
func (c *conn) begin(ctx context.Context) (requestCtx context.Context, end func() bool) {
	requestCtx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = cancel
	return requestCtx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = nil
		cancel(nil)
		return errors.Is(context.Cause(requestCtx), ErrAttention)
	}
}

// answer answers one message. An error ends the connection.
func (c *conn) answer(ctx context.Context, m message) error {
	w := newWriter(c.transport, c.packetSize)
	if m.reset {
		w.resetDone(c.session.Reset())
		c.transaction = 0
	}
	switch m.kind {
	case packetAttention:
		return w.attention()
	case packetTransaction:
		return c.manageTransaction(w, m.body)
	case packetBatch, packetRPC:
		return c.query(ctx, w, m)
	default:
		return errMalformed
	}
}

func (c *conn) query(ctx context.Context, w *Writer, m message) error {
	parse := parseBatch
	if m.kind == packetRPC {
		parse, w.procedure = parseRPC, true
	}
	query, err := parse(m.body)
	if err != nil {
		return err
	}
	ctx, end := c.begin(ctx)
	err = c.session.Query(ctx, query, w)
	if end() {
		return w.attention()
	}
	return w.finish(messages(err))
}

// version returns the version of the product in the protocol's form: major, minor, and the build in two bytes.
func (s *Server) version() (out [4]byte) {
	parts := strings.Split(s.options.Version+"...", ".")
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(parts[i], 10, 16)
		return n
	}
	return [4]byte{byte(number(0)), byte(number(1)), byte(number(2) >> 8), byte(number(2))}
}
