package handlers

import (
	"math"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/time/rate"

	"whalefall/models"
)

// Limits are how many requests to the API are answered a minute; as many may come at once. 0: no limit.
type Limits struct {
	Token   int // of one API token
	Address int // without a token, from one address
}

// limiterMemory is how long an address or token that went away is remembered.
const limiterMemory = 3 * time.Minute

// limiter holds the budgets of many clients.
type limiter struct {
	perMinute int
	budgets   *middleware.RateLimiterMemoryStore
}

func newLimiter(perMinute int) *limiter {
	return &limiter{perMinute, middleware.NewRateLimiterMemoryStoreWithConfig(middleware.RateLimiterMemoryStoreConfig{
		Rate: rate.Limit(float64(perMinute) / time.Minute.Seconds()), Burst: perMinute, ExpiresIn: limiterMemory,
	})}
}

// take refuses a client whose budget is used up.
func (l *limiter) take(client string, now time.Time) error {
	if l.perMinute == 0 {
		return nil
	}
	allowed, err := l.budgets.Allow(client)
	if err != nil || allowed {
		return err
	}
	return tooMany(l.perMinute, now.Add(time.Minute/time.Duration(l.perMinute)), now)
}

// limitRate refuses clients of the API that ask too often, before anything else is looked at. The framework wraps the
// handler of every request anew, so that the budgets are made outside of that.
func (h *handlers) limitRate() echo.MiddlewareFunc {
	tokens, addresses := newLimiter(h.Limits.Token), newLimiter(h.Limits.Address)
	take := func(c echo.Context) error {
		if token := currentToken(c); token != nil {
			return tokens.take(token.Digest, h.now())
		}
		return addresses.take(c.RealIP(), h.now())
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if !isAPI(c) {
				return next(c)
			}
			if err := take(c); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// tooMany tells a client how many of what it did are allowed, and when the next is.
func tooMany(limit int, reset, now time.Time) *models.Error {
	return &models.Error{Code: models.CodeRateLimited, Extra: map[string]any{
		"limit": limit, "remaining": 0, "reset": reset.Unix(),
		"retry_after": max(int(math.Ceil(reset.Sub(now).Seconds())), 1),
	}}
}
