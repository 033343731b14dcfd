package store_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(testing.TB) store.Store { return store.NewMemory() }})
}
