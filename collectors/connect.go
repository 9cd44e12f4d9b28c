package collectors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"whalefall/models"
)

// OptionCACertificate is the target option with the PEM of the authorities to trust with verify-ca and verify-full; the
// system's when it is empty.
const OptionCACertificate = "ca_certificate"

// TargetTLS is what to ask of the server's certificate; nil is no encryption. Only the verify modes look at it.
func TargetTLS(t Target) (*tls.Config, error) {
	switch t.TLSMode {
	case models.TLSDisable:
		return nil, nil //nolint:nilnil // nil is how crypto/tls's users say "no TLS"
	case models.TLSVerifyCA, models.TLSVerifyFull:
	default:
		return &tls.Config{InsecureSkipVerify: true}, nil //nolint:gosec // require and prefer encrypt, they do not authenticate
	}
	config := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12}
	if text := t.Options[OptionCACertificate]; text != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, &models.Error{Code: models.CodeCollection, Key: "collect.ca_certificate"}
		}
	}
	if t.TLSMode == models.TLSVerifyCA {
		config.InsecureSkipVerify = true // the chain is verified below, the name is not
		config.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
			for _, certificate := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(certificate)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return config, nil
}

type Queryer interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

func EachRow(ctx context.Context, q Queryer, text string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Why a connection did not come about or broke: the member reason of an unreachable error. The catalogue has what a
// person can do about each as reason.<name>.
const (
	ReasonRefused    = "refused"    // nothing listens there
	ReasonTimeout    = "timeout"    // no answer in time
	ReasonUnresolved = "unresolved" // the host name has no address
	ReasonUnroutable = "unroutable" // no way to the address
	ReasonTLS        = "tls"        // the sides do not agree on encryption
	ReasonProtocol   = "protocol"   // what listens there is no such database
	ReasonLogin      = "login"      // wrong user or password, or not from here
	ReasonBusy       = "busy"       // no connection left
	ReasonStarting   = "starting"   // the server starts or stops
	ReasonMissing    = "missing"    // no such file
	ReasonLost       = "lost"       // anything else
)

// Unreachable is the error for a target that could not be connected to, and why.
func Unreachable(t Target, reason string, err error) *models.Error {
	return &models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", t.Name),
		Extra: map[string]any{"reason": reason}, Err: err,
	}
}

var ErrProtocol = errors.New("the server speaks another protocol")

// ConnectReason is the reason for an error that the server did not send.
func ConnectReason(err error) string {
	var wait net.Error
	switch {
	case errors.As(err, new(*net.DNSError)):
		return ReasonUnresolved
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ReasonUnroutable
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return ReasonTimeout
	case errors.Is(err, ErrProtocol), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrPktSync),
		errors.Is(err, mysql.ErrPktSyncMul):
		return ReasonProtocol
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)),
		errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)),
		errors.As(err, new(tls.AlertError)), errors.Is(err, mysql.ErrNoTLS), strings.Contains(err.Error(), "server refused TLS"): // pgx has no value for it
		return ReasonTLS
	}
	return ReasonLost
}

// Settled is the error where no engine has to be known for it: it is classified already, or the collection was ended.
// In all other cases it is nil.
func Settled(ctx context.Context, err error) *models.Error {
	var known *models.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	case ctx.Err() != nil:
		return Cancelled(err)
	}
	return nil
}

func Cancelled(cause error) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: "collect.cancelled", Err: cause}
}

// ConnectionLost reports whether an error is about the wire, not about what was said over it.
func ConnectionLost(err error) bool {
	return errors.As(err, new(*pgconn.ConnectError)) || errors.As(err, new(*net.OpError)) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

// ConcernsAll reports whether what failed for one database would fail for every other, too.
func ConcernsAll(ctx context.Context, e *models.Error) bool {
	return ctx.Err() != nil || e.Code == models.CodeUnreachable
}
