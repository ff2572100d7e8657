package s3

import (
	"net/http"
	"sync/atomic"
	"time"
)

// minSkew is what a clock may be off before it counts: the Date header has a resolution of a second, and answers travel.
const minSkew = 5 * time.Second

// clock tells the time by the bucket's clock, from the Date header of its answers. Whether a lock has expired must not
// depend on whose laptop looks at it.
type clock struct {
	next  http.RoundTripper
	skew  atomic.Int64 // the bucket's time minus ours, nanoseconds
	dated atomic.Int64 // answers that told a time
}

func newClock(next http.RoundTripper) *clock {
	if next == nil {
		next = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &clock{next: next}
}

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := time.Until(date)
		if skew.Abs() < minSkew {
			skew = 0
		}
		c.skew.Store(int64(skew))
		c.dated.Add(1)
	}
	return resp, nil
}

// now has a resolution of microseconds, which is what fly_deploy writes.
func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.skew.Load())).UTC().Truncate(time.Microsecond)
}
