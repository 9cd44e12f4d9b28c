package collectors

import "whalefall/models"

// keyOtherServer is the message key of the error for an address that leads to several servers.
const keyOtherServer = "collect.other_server"

// OtherServer returns the error for a connection or statement that reached another server than the first of the run.
// The run starts over, once: the servers may have changed roles.
func OtherServer() *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: keyOtherServer}
}

// IsOtherServer reports whether an error is that of OtherServer.
func IsOtherServer(err error) bool { return err != nil && models.AsError(err).Key == keyOtherServer }

// OnOneServer calls read, and once more if it came across another server. Last reports whether it is the second time,
// after which read has to do with what it has.
func OnOneServer[T any](read func(last bool) (T, error)) (T, error) {
	result, err := read(false)
	if IsOtherServer(err) {
		return read(true)
	}
	return result, err
}
