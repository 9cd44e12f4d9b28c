package handlers

import (
	"net/netip"
	"strconv"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// Limits are API requests per minute, which may all come at once. 0 means no limit.
type Limits struct {
	Token   int // per API token
	Address int // per network, without a token
}

// takeRequest returns a 429 if the client has used up its budget.
func (h *handlers) takeRequest(client string, perMinute int) error {
	if perMinute == 0 {
		return nil
	}
	next, allowed := h.Store.TakeRequest(client, perMinute)
	if allowed {
		return nil
	}
	return models.RateLimited(perMinute, next, h.now())
}

// networkOf returns the network that a request is counted for: the address, or the /64 of an IPv6 address.
func networkOf(c echo.Context) string {
	address, err := netip.ParseAddr(c.RealIP())
	switch {
	case err != nil:
		return c.RealIP()
	case address.Unmap().Is4():
		return address.Unmap().String()
	}
	return netip.PrefixFrom(address.WithZone(""), ipv6Network).Masked().String()
}

// ipv6Network is the prefix length that providers assign to one customer.
const ipv6Network = 64

// limitRate rejects API clients that send too many requests, before any other check.
func (h *handlers) limitRate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !isAPI(c) {
			return next(c)
		}
		client, perMinute := "address "+networkOf(c), h.Limits.Address
		if token := currentToken(c); token != nil {
			client, perMinute = "token "+token.Digest, h.Limits.Token
		}
		if err := h.takeRequest(client, perMinute); err != nil {
			return err
		}
		return next(c)
	}
}

// retryHeaders sets the headers that say when to try again.
func retryHeaders(c echo.Context, e *models.Error) {
	if e.RetryAfter == 0 {
		return
	}
	header, members := c.Response().Header(), e.Members()
	for name, member := range map[string]string{
		echo.HeaderRetryAfter: "retry_after", "X-RateLimit-Limit": "limit",
		"X-RateLimit-Remaining": "remaining", "X-RateLimit-Reset": "reset",
	} {
		switch v := members[member].(type) {
		case int:
			header.Set(name, strconv.Itoa(v))
		case int64:
			header.Set(name, strconv.FormatInt(v, 10))
		}
	}
}
