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
	"syscall"

	"whalefall/models"
)

// TargetTLS returns the TLS configuration for a target, nil for no encryption. Only the verify modes check the server's
// certificate.
func TargetTLS(t Target) (*tls.Config, error) {
	switch t.TLSMode {
	case models.TLSDisable:
		return nil, nil //nolint:nilnil // nil is how crypto/tls's users say "no TLS"
	case models.TLSVerifyCA, models.TLSVerifyFull:
	default:
		//nolint:gosec // require and prefer encrypt, they do not authenticate
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	config := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12}
	if text := t.Options[models.OptionCACertificate]; text != "" {
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

// Queryer is a connection, transaction or pool that statements are run on.
type Queryer interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// EachRow runs a statement and calls scan for each of its rows. It stops at the first error.
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

// Why a connection could not be made or broke: the member "reason" of an Unreachable error. The message catalog
// explains each under reason.<name>.
const (
	ReasonRefused    = "refused"    // nothing listens there
	ReasonTimeout    = "timeout"    // no answer in time
	ReasonUnresolved = "unresolved" // the host name has no address
	ReasonUnroutable = "unroutable" // no way to the address
	ReasonTLS        = "tls"        // the sides do not agree on encryption
	ReasonProtocol   = "protocol"   // what listens there is no such database
	ReasonLogin      = "login"      // wrong user or password, or not from here
	ReasonCleartext  = "cleartext"  // it wants the password in a form that others could read
	ReasonBusy       = "busy"       // no connection left
	ReasonStarting   = "starting"   // the server starts or stops
	ReasonMissing    = "missing"    // no such file
	ReasonAnswered   = "answered"   // the server's error, of which we know nothing but the number
	ReasonLost       = "lost"       // anything else
)

// Unreachable returns the error for a target that could not be connected to. The reason is one of the constants above.
// For ReasonTLS, the member "tls_check" says which check failed, if one did.
func Unreachable(t Target, reason string, err error) *models.Error {
	e := &models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", t.Name),
		Reason: reason, Err: err,
	}
	if check := tlsCheck(err); reason == ReasonTLS && check != "" {
		return e.With("tls_check", check)
	}
	return e
}

// Checks of a TLS handshake. The message catalog explains each under reason.tls.<name>.
const (
	checkIssuer  = "issuer"  // the certificate is from nobody whom we trust
	checkName    = "name"    // the certificate is for other names
	checkTime    = "time"    // the certificate has expired or is not valid yet
	checkUse     = "use"     // the certificate is not for servers, or otherwise not acceptable
	checkVersion = "version" // the sides have no version or cipher in common
	checkClient  = "client"  // the server wants a certificate of ours, or rejects it
	checkAbsent  = "absent"  // the server does not speak TLS
)

// Alerts of TLS, RFC 8446, section 6.
const (
	alertHandshake    = 40
	alertBad          = 42
	alertUnknownCA    = 48
	alertVersion      = 70
	alertCertRequired = 116
)

// tlsCheck returns which check of a handshake failed, empty if none is known.
func tlsCheck(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return checkIssuer
	case errors.As(err, new(x509.HostnameError)):
		return checkName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return checkTime
	case errors.As(err, &invalid):
		return checkUse
	case errors.Is(err, ErrNoTLS), errors.As(err, new(tls.RecordHeaderError)):
		return checkAbsent
	}
	switch alert := tlsAlert(err); alert {
	case "":
		return ""
	case alertText(alertHandshake), alertText(alertVersion):
		return checkVersion
	case alertText(alertBad), alertText(alertUnknownCA), alertText(alertCertRequired):
		return checkClient
	}
	return ""
}

func alertText(number uint8) string { return tls.AlertError(number).Error() }

// tlsAlert returns the text of the alert by which the other side ended a handshake, empty if it did not.
func tlsAlert(err error) string {
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" {
		return remote.Err.Error()
	}
	return ""
}

// ErrNoTLS says that the server does not speak TLS.
var ErrNoTLS = errors.New("the server does not speak TLS")

// ErrCleartext says that the server wants the password in a form that others could read.
var ErrCleartext = errors.New("the server wants the password in clear")

// OnlyChallenges reports whether, as long as the line to a target is not encrypted, the password may only be proved, by
// answers to challenges, and not sent: whoever answers may be somebody else who claims to have no TLS.
func OnlyChallenges(t Target) bool { return !models.IsLoopback(t.Host) }

// ErrProtocol says that something else than the expected kind of server answered.
var ErrProtocol = errors.New("the server speaks another protocol")

// ConnectReason returns the reason for an error that was not sent by the server: ReasonLost where it cannot tell.
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
	case errors.Is(err, ErrProtocol):
		return ReasonProtocol
	case errors.Is(err, ErrCleartext):
		return ReasonCleartext
	case errors.Is(err, ErrNoTLS), tlsAlert(err) != "",
		errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)),
		errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return ReasonTLS
	}
	return ReasonLost
}

// Settled returns the error that needs no knowledge of the engine: one that is classified already, or the end of the
// collection by its deadline or by being cancelled. Otherwise it returns nil.
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

// Cancelled returns the error of a collection that was cancelled.
func Cancelled(cause error) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: "collect.cancelled", Err: cause}
}

// ConnectionLost reports whether an error came from the network rather than from the server.
func ConnectionLost(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

// ConcernsAll reports whether the error of one database would be that of every other database, too.
func ConcernsAll(ctx context.Context, e *models.Error) bool {
	return ctx.Err() != nil || e.Code == models.CodeUnreachable
}
