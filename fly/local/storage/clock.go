package storage

import (
	"net/http"
	"time"

	"flydeploy/fly/local/fault"
)

// refusedSkew is the difference of clocks from which on S3 refuses a request. Source: Amazon S3, RequestTimeTooSkewed.
const refusedSkew = 15 * time.Minute

// ClockOff puts S3's clock off by d: its answers tell the other time, and it refuses requests that were signed too far
// from it.
func ClockOff(d time.Duration) fault.Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(d).UTC().Format(http.TimeFormat))
			if d.Abs() > refusedSkew {
				refuse(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
