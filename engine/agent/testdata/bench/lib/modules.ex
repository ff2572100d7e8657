defmodule Bench.Modules do
  @moduledoc """
  200 modules of the size that modules have, the first ten of them GenServers; and protocols beside them, so that the release
  consolidates 40. The first BENCH_CHANGED modules differ from those of the base release.
  """

  @modules 200
  @callbacks 10
  # Elixir's own are consolidated too.
  @protocols 34

  def all, do: for(n <- 1..@modules, do: name(n))
  def callbacks, do: for(n <- 1..@callbacks, do: name(n))

  defp name(n), do: Module.concat(Bench, "M#{n}")

  changed = String.to_integer(System.get_env("BENCH_CHANGED", "0"))

  for n <- 1..@modules do
    version = if n <= changed, do: 2, else: 1

    functions =
      for f <- 1..8 do
        quote do
          def unquote(:"work_#{f}")(list, opts) when is_list(list) do
            list
            |> Enum.filter(&(rem(&1, unquote(f + 1)) != opts[:rest]))
            |> Enum.map(fn x -> {x, unquote(version) * x + unquote(f), "text of #{x} in #{unquote(n)}"} end)
            |> Enum.reduce(%{version: unquote(version)}, fn {k, v, t}, acc -> Map.put(acc, k, {v, t}) end)
          end

          def unquote(:"work_#{f}")(%{} = map, _opts),
            do: Map.put(map, unquote(:"key_#{f}"), unquote(version))
        end
      end

    server =
      if n <= @callbacks do
        quote do
          use GenServer
          @vsn unquote(version)
          def init(n), do: {:ok, %{n: n, version: unquote(version), data: nil}}
          def handle_call(:n, _from, s), do: {:reply, s.n, s}
          def handle_call(:version, _from, s), do: {:reply, s.version, s}

          def handle_call(:spoil, _from, s), do: {:reply, :ok, Map.delete(s, :version)}
          def handle_call({:enlarge, n}, _from, s), do: {:reply, :ok, %{s | data: Enum.to_list(1..n//1)}}
          def code_change(_vsn, s, _extra), do: {:ok, %{s | version: unquote(version)}}
        end
      end

    defmodule Module.concat(Bench, "M#{n}") do
      @moduledoc false
      def version, do: unquote(version)
      Module.eval_quoted(__MODULE__, server)
      Module.eval_quoted(__MODULE__, functions)
    end
  end

  # Small ones, which stay as they are.
  for n <- 1..String.to_integer(System.get_env("BENCH_FILLERS", "0"))//1 do
    defmodule Module.concat(Bench, "F#{n}") do
      @moduledoc false
      def total(list), do: list |> Enum.map(&(&1 * unquote(n))) |> Enum.sum()
      def add(%{} = map, key), do: Map.update(map, key, unquote(n), &(&1 + 1))
    end
  end

  for n <- 1..@protocols do
    defprotocol Module.concat(Bench, "P#{n}") do
      @moduledoc false
      def show(term)
    end

    defimpl Module.concat(Bench, "P#{n}"), for: Integer do
      def show(n), do: n
    end
  end
end
