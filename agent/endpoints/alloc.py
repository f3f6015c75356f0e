"""Allocations, to read. Source: nomad/alloc_endpoint.go."""

from agent.endpoints.context import Context, Handlers
from agent.endpoints.job import ALL_NAMESPACES
from agent.model.alloc import AllocStub
from agent.rpc import methods as m
from agent.state.store import Table


class AllocEndpoint:
    """`Alloc.*`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.ALLOC_GET_ALLOC: self.get_alloc,
            m.ALLOC_GET_ALLOCS: self.get_allocs,
            m.ALLOC_LIST: self.list_allocs,
        }

    async def get_alloc(self, request: m.AllocSpecificRequest) -> m.AllocResponse:
        """Return one allocation."""
        return await self._context.read(
            request, (Table.ALLOCS,), lambda state: m.AllocResponse(alloc=state.alloc(request.alloc_id))
        )

    async def get_allocs(self, request: m.AllocsGetRequest) -> m.AllocsResponse:
        """Return those of the asked allocations that exist, in the order asked."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.AllocsResponse(
                allocs=[alloc for alloc in map(state.alloc, request.alloc_ids) if alloc is not None]
            ),
        )

    async def list_allocs(self, request: m.Request) -> m.AllocListResponse:
        """Return the allocations of a namespace, or of all with "*"."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.AllocListResponse(
                allocs=[
                    AllocStub.of(alloc)
                    for alloc in state.allocs(request.prefix)
                    if request.namespace in {ALL_NAMESPACES, alloc.namespace}
                ]
            ),
        )
