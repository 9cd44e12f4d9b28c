package handlers

import (
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// Limits are how many requests to the API are answered a minute; as many may come at once. 0: no limit.
type Limits struct {
	Token   int // of one API token
	Address int // without a token, from one address
}

// take refuses a client whose budget is used up.
func (h *handlers) take(client string, perMinute int) error {
	if perMinute == 0 {
		return nil
	}
	next, allowed := h.Store.TakeRequest(client, perMinute)
	if allowed {
		return nil
	}
	return tooMany(perMinute, next, h.now())
}

// networkOf is where a request comes from, as far as somebody is counted there: who has one IPv6 address has a whole /64.
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

// ipv6Network is the length of the prefix that a provider gives to one customer at least.
const ipv6Network = 64

// limitRate refuses clients of the API that ask too often, before anything else is looked at.
func (h *handlers) limitRate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !isAPI(c) {
			return next(c)
		}
		client, perMinute := "address "+networkOf(c), h.Limits.Address
		if token := currentToken(c); token != nil {
			client, perMinute = "token "+token.Digest, h.Limits.Token
		}
		if err := h.take(client, perMinute); err != nil {
			return err
		}
		return next(c)
	}
}

// tooMany tells a client how many of what it did are allowed, and when the next is.
func tooMany(limit int, reset, now time.Time) *models.Error {
	return &models.Error{Code: models.CodeRateLimited, Extra: map[string]any{
		"limit": limit, "remaining": 0, "reset": reset.Unix(),
		"retry_after": max(int(math.Ceil(reset.Sub(now).Seconds())), 1),
	}}
}

// rateLimitHeaders tells a throttled client when to come back.
func rateLimitHeaders(c echo.Context, e *models.Error) {
	if e.Code != models.CodeRateLimited {
		return
	}
	header := c.Response().Header()
	for name, member := range map[string]string{
		echo.HeaderRetryAfter: "retry_after", "X-RateLimit-Limit": "limit",
		"X-RateLimit-Remaining": "remaining", "X-RateLimit-Reset": "reset",
	} {
		switch v := e.Extra[member].(type) {
		case int:
			header.Set(name, strconv.Itoa(v))
		case int64:
			header.Set(name, strconv.FormatInt(v, 10))
		}
	}
}
