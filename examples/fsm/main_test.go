package main

import (
	"context"
	"os"
)

func Example() {
	if err := run(context.Background(), os.Stdout); err != nil {
		os.Stdout.WriteString(err.Error())
	}
	// Output:
	// shipping failed: order 7 is FAILED
	//   paying FINISHED, pass 1, 0 retries
	//   packing FINISHED, pass 2, 0 retries
	//   shipping FAILED, pass 2, 0 retries: no such address
	// done: order 7 is FINISHED
	//   paying FINISHED, pass 1, 0 retries
	//   packing FINISHED, pass 2, 0 retries
	//   shipping FINISHED, pass 2, 2 retries
}
