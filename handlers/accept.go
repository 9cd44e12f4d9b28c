package handlers

import (
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// format is an encoding of a snapshot.
type format string

const (
	formatJSON   format = "json"
	formatCSV    format = "csv"
	formatNDJSON format = "ndjson"
)

var formats = []string{string(formatJSON), string(formatCSV), string(formatNDJSON)}

var mediaTypes = []struct {
	media string
	as    format
}{
	{echo.MIMEApplicationJSON, formatJSON}, {"text/csv", formatCSV}, {"application/x-ndjson", formatNDJSON},
}

// bindFormat returns the format named in the query, else the one that Accept prefers, else JSON.
func bindFormat(c echo.Context) (format, error) {
	named := c.QueryParam("format")
	switch {
	case named == "":
		return acceptedFormat(c), nil
	case !slices.Contains(formats, named):
		return "", models.Invalid("export.format", "Choices", strings.Join(formats, ", "))
	}
	return format(named), nil
}

// acceptedFormat returns the format with the highest weight in Accept. Of equal ones the more exact range wins, then
// the one named first.
func acceptedFormat(c echo.Context) format {
	ranges := parseAccept(strings.Join(c.Request().Header.Values(echo.HeaderAccept), ","))
	best, chosen := mediaRange{}, formatJSON
	for _, offered := range mediaTypes {
		r := bestRange(ranges, offered.media)
		if r.weight > 0 && r.before(best) {
			best, chosen = r, offered.as
		}
	}
	return chosen
}

// mediaRange is one member of an Accept header, or of Accept-Encoding.
type mediaRange struct {
	pattern  string
	weight   float64
	exact    int // 2: names a type, 1: all subtypes of one, 0: everything
	position int
}

// before reports whether r is preferred to other.
func (r mediaRange) before(other mediaRange) bool {
	switch {
	case r.weight != other.weight:
		return r.weight > other.weight
	case r.exact != other.exact:
		return r.exact > other.exact
	}
	return r.position < other.position
}

// parseAccept returns the members of an Accept header. Malformed ones are skipped.
func parseAccept(header string) []mediaRange {
	var ranges []mediaRange
	for position, member := range strings.Split(header, ",") {
		pattern, parameters, err := mime.ParseMediaType(member)
		if err != nil {
			continue
		}
		r := mediaRange{pattern: pattern, weight: 1, exact: 2, position: position}
		if q, given := parameters["q"]; given {
			r.weight, err = strconv.ParseFloat(q, 64)
		}
		if err != nil || !(r.weight >= 0 && r.weight <= 1) {
			continue
		}
		switch {
		case pattern == "*/*" || pattern == "*":
			r.exact = 0
		case strings.HasSuffix(pattern, "/*"):
			r.exact = 1
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// bestRange returns the most exact range that includes the media type. Its weight is 0 if there is none.
func bestRange(ranges []mediaRange, media string) mediaRange {
	best := mediaRange{exact: -1}
	for _, r := range ranges {
		prefix, open := strings.CutSuffix(r.pattern, "*")
		matches := r.pattern == media || r.exact == 0 || open && strings.HasPrefix(media, prefix)
		if matches && r.exact > best.exact {
			best = r
		}
	}
	return best
}

// acceptsGzip reports whether an Accept-Encoding header allows gzip.
func acceptsGzip(header string) bool { return bestRange(parseAccept(header), "gzip").weight > 0 }
