package handlers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"whalefall/models"
)

// scrapeTimeout limits how long a scrape waits for one figure of the store. The figure is left out then.
const scrapeTimeout = 3 * time.Second

// Upper bounds of the histograms, seconds, up to the longest wait for an answer and the longest collection.
var (
	requestBuckets    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	collectionBuckets = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}
)

// Metrics holds what operators watch. No label names an instance, database or user. It is made before what it observes,
// and is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests           *prometheus.CounterVec
	requestSeconds     *prometheus.HistogramVec
	collections        *prometheus.CounterVec
	collectionSeconds  *prometheus.HistogramVec
	collectionsRunning *prometheus.GaugeVec
	auditFailures      prometheus.Counter
}

// NewMetrics returns the metrics of this process and its store, with the release's version as a label.
func NewMetrics(store *models.Store, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "whalefall_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "whalefall_http_request_duration_seconds", Help: "Time until a request was answered.", Buckets: requestBuckets,
		}, []string{"route", "method"}),
		collections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "whalefall_collections_total", Help: "Collections that ended; result is success or the code of the error.",
		}, []string{"engine", "kind", "result"}),
		collectionSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "whalefall_collection_duration_seconds",
			Help:    "Time that collections took, successful or not.",
			Buckets: collectionBuckets,
		}, []string{"engine", "kind"}),
		collectionsRunning: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "whalefall_collections_running", Help: "Collections under way in this process.",
		}, []string{"engine", "kind"}),
		auditFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "whalefall_audit_failures_total", Help: "Entries that the audit log did not take.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "whalefall_build_info",
		Help:        "Always 1; the label has the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.requestSeconds, m.collections, m.collectionSeconds, m.collectionsRunning,
		m.auditFailures, build, storeSize{store}, schedules{store}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// storeSize collects the size of the store while the store answers.
type storeSize struct{ store *models.Store }

var storeSizeMetric = prometheus.NewDesc("whalefall_store_size_bytes", "Size of WhaleFall's own database.", nil, nil)

func (storeSize) Describe(to chan<- *prometheus.Desc) { to <- storeSizeMetric }

func (s storeSize) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if bytes, err := s.store.Size(ctx); err == nil {
		to <- prometheus.MustNewConstMetric(storeSizeMetric, prometheus.GaugeValue, float64(bytes))
	}
}

// schedules counts instances that are not collected as they should be, while the store answers.
type schedules struct{ store *models.Store }

var (
	pausedMetric = prometheus.NewDesc("whalefall_instances_paused",
		"Instances that are no longer collected by schedule because they kept failing.", nil, nil)
	overdueMetric = prometheus.NewDesc("whalefall_instances_overdue",
		"Instances whose scheduled collection should have begun.", nil, nil)
)

func (schedules) Describe(to chan<- *prometheus.Desc) {
	to <- pausedMetric
	to <- overdueMetric
}

func (s schedules) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if counts, err := s.store.ScheduleCounts(ctx); err == nil {
		to <- prometheus.MustNewConstMetric(pausedMetric, prometheus.GaugeValue, float64(counts.Paused))
		to <- prometheus.MustNewConstMetric(overdueMetric, prometheus.GaugeValue, float64(counts.Overdue))
	}
}

// otherLabel replaces routes and methods that a client makes up.
const otherLabel = "other"

var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true,
	http.MethodDelete: true, http.MethodOptions: true,
}

// measureRequests counts and times requests, failed ones included.
func (h *handlers) measureRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		err := next(c)
		route, method := c.Path(), c.Request().Method
		if !h.routes[route] {
			route = otherLabel
		}
		if !knownMethods[method] {
			method = otherLabel
		}
		h.Metrics.requests.WithLabelValues(route, method, strconv.Itoa(c.Response().Status)).Inc()
		h.Metrics.requestSeconds.WithLabelValues(route, method).Observe(time.Since(started).Seconds())
		return err
	}
}

// ObserveCollection counts a collection that starts. The returned function counts its end and its error, if any.
func (m *Metrics) ObserveCollection(engine models.Engine, kind models.RunKind) (ended func(error)) {
	started := time.Now()
	running := m.collectionsRunning.WithLabelValues(string(engine), string(kind))
	running.Inc()
	return func(err error) {
		running.Dec()
		result := "success"
		if err != nil {
			result = string(models.AsError(err).Code)
		}
		m.collections.WithLabelValues(string(engine), string(kind), result).Inc()
		m.collectionSeconds.WithLabelValues(string(engine), string(kind)).Observe(time.Since(started).Seconds())
	}
}

// readMetrics answers requests with the metrics token, which is not an API token.
func (h *handlers) readMetrics() echo.HandlerFunc {
	// Large answers are compressed by our middleware.
	answer := promhttp.HandlerFor(h.Metrics.registry, promhttp.HandlerOpts{DisableCompression: true})
	return func(c echo.Context) error {
		if !h.opensMetrics(c.Request()) {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="metrics"`)
			return c.String(http.StatusUnauthorized, "unauthorized\n")
		}
		answer.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}

func (h *handlers) opensMetrics(r *http.Request) bool {
	scheme, secret, _ := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	given, wanted := sha256.Sum256([]byte(strings.TrimSpace(secret))), sha256.Sum256([]byte(h.MetricsToken))
	same := subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
	return h.MetricsToken != "" && strings.EqualFold(scheme, "Bearer") && same
}
