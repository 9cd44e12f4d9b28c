package collectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"whalefall/models"
)

// Error numbers that more than one place knows.
const (
	oracleNoSuchView   = 942
	oracleNoPrivilege  = 1031
	oracleNoSession    = 1045
	oracleRecursive    = 604   // of a statement that the server made itself, as a logon trigger's
	oracleTrigger      = 4088  // of a trigger
	oracleNoPrivilege2 = 41900 // 23ai names the privilege
)

// Message keys that more than one place knows.
const (
	keyOracleDenied = "collect.oracle.denied"
	keyOracleLocked = "collect.oracle.locked"
	keyOracleClosed = "collect.oracle.not_open"
)

// Reasons that only Oracle's listeners and logins have.
const (
	reasonService  = "service"  // the listener knows no such service or SID
	reasonVerifier = "verifier" // the sides know no common way to prove a password
	reasonWallet   = "wallet"   // the wallet cannot be read
	reasonArchiver = "archiver" // only SYSDBA may log in until redo can be archived again
)

// oracleMeaning is what an error number tells the user. One with a reason says that there is no connection.
type oracleMeaning struct {
	key    string
	reason string
}

var oracleMeanings = map[int]oracleMeaning{
	1005:            {reason: reasonLogin}, // no password
	1017:            {reason: reasonLogin}, // wrong user or password
	1035:            {reason: reasonLogin}, // only for RESTRICTED SESSION now
	oracleNoSession: {reason: reasonLogin}, // no CREATE SESSION
	12506:           {reason: reasonLogin}, // the listener's access list
	28000:           {reason: reasonLogin}, // account locked
	28001:           {reason: reasonLogin}, // password expired
	28009:           {reason: reasonLogin}, // SYS not as SYSDBA
	28040:           {reason: reasonVerifier},
	28041:           {reason: reasonVerifier},
	12154:           {reason: reasonUnresolved},
	12545:           {reason: reasonUnresolved},
	12170:           {reason: reasonTimeout},
	12535:           {reason: reasonTimeout},
	12541:           {reason: reasonRefused},
	12505:           {reason: reasonService}, // SID
	12514:           {reason: reasonService}, // service
	12521:           {reason: reasonService}, // instance
	12564:           {reason: reasonService}, // refused without a word
	12560:           {reason: reasonProtocol},
	12569:           {reason: reasonProtocol},
	257:             {reason: reasonArchiver},
	18:              {reason: reasonBusy}, // sessions
	20:              {reason: reasonBusy}, // processes
	2391:            {reason: reasonBusy}, // sessions of this user
	12516:           {reason: reasonBusy},
	12518:           {reason: reasonBusy},
	12519:           {reason: reasonBusy},
	12520:           {reason: reasonBusy},
	1033:            {reason: reasonStarting},
	1034:            {reason: reasonStarting},
	1089:            {reason: reasonStarting},
	1090:            {reason: reasonStarting},
	1092:            {reason: reasonStarting},
	12526:           {reason: reasonStarting}, // restricted mode
	12527:           {reason: reasonStarting},
	12528:           {reason: reasonStarting},
	28:              {reason: reasonLost}, // killed
	1012:            {reason: reasonLost}, // not logged on
	2396:            {reason: reasonLost}, // idle for too long
	2399:            {reason: reasonLost}, // connected for too long
	3113:            {reason: reasonLost},
	3114:            {reason: reasonLost},
	3135:            {reason: reasonLost},
	3136:            {reason: reasonLost},
	12537:           {reason: reasonLost},
	12547:           {reason: reasonLost},
	12570:           {reason: reasonLost},
	28759:           {reason: reasonWallet},
	28857:           {reason: reasonTLS},
	28860:           {reason: reasonTLS},
	28862:           {reason: reasonTLS},
	28864:           {reason: reasonTLS},
	28865:           {reason: reasonTLS},
	29024:           {reason: reasonTLS}, // certificate not trusted

	54:                 {key: keyOracleLocked},
	4021:               {key: keyOracleLocked},
	oracleNoSuchView:   {key: keyOracleDenied},
	oracleNoPrivilege:  {key: keyOracleDenied},
	oracleNoPrivilege2: {key: keyOracleDenied},
	1013:               {key: "collect.oracle.interrupted"},
	1109:               {key: keyOracleClosed},
	1219:               {key: keyOracleClosed},
	1555:               {key: "collect.oracle.snapshot_too_old"},
}

// isOracleDenied reports whether the account may not read a view. Older servers say that there is no such view.
func isOracleDenied(err error) bool {
	switch oracleNumberOf(err) {
	case oracleNoSuchView, oracleNoPrivilege, oracleNoPrivilege2:
		return true
	}
	return false
}

// failed classifies an error that came about on this session.
func (s *oracleSession) failed(ctx context.Context, err error) error {
	return oracleFailure(ctx, s.target, err, false)
}

// oracleFailure makes a *models.Error of an error that came about while connecting or later.
func oracleFailure(ctx context.Context, t Target, err error, connecting bool) error {
	if known := settled(ctx, err); known != nil {
		return known
	}
	number := oracleNumberOf(err)
	switch {
	case number != 0:
		return oracleRefused(t, number, err, connecting)
	case connecting, connectionLost(err):
		return unreachable(t, connectReason(err), err)
	case errors.Is(err, context.DeadlineExceeded):
		return &models.Error{Code: models.CodeTimeout, Err: err}
	}
	return &models.Error{Code: models.CodeCollection, Err: err}
}

// oracleRefused is the error for what the server or its listener answered. Whatever is no refusal of a statement leaves us
// without a connection.
func oracleRefused(t Target, number int, err error, connecting bool) *models.Error {
	meaning := oracleMeanings[number]
	var refused *models.Error
	switch {
	case connecting && (isOracleDenied(err) || number == oracleRecursive || number == oracleTrigger):
		refused = unreachable(t, reasonLogin, err) // SYS without SYSDBA, or a logon trigger that keeps the account out
	case meaning.reason != "":
		refused = unreachable(t, meaning.reason, err)
	case connecting && meaning.key == "":
		refused = unreachable(t, reasonLost, err)
	default:
		refused = &models.Error{
			Code: models.CodeCollection, Key: cmp.Or(meaning.key, "collect.oracle.failed"), Err: err,
			Args: models.Args("Number", fmt.Sprintf("%05d", number)),
		}
	}
	if number == oracleNoSession {
		refused = refused.With("grant", "GRANT CREATE SESSION TO "+oracleQuoted(oracleAccount(t.Username))+";")
	}
	return refused.With("error_number", number)
}

// oracleAccount is the name a login means: in capitals unless it is given in quotes.
func oracleAccount(login string) string {
	if strings.HasPrefix(login, `"`) {
		return strings.Trim(login, `"`)
	}
	return strings.ToUpper(login)
}
