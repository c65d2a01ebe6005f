;; The one place where nearly all of the time goes: C += A B, for matrices of fp32 numbers, stored row by row.
;;
;; It works on tiles of C of 4 rows and 8 columns, which stay in eight registers of four numbers (SIMD) each.
;; For each k, a tile adds column k of A (4 numbers) times row k of B (8 numbers): 6 loads for 32
;; multiplications. Rows are rounded up to a multiple of 4 and columns to a multiple of 8: the caller leaves
;; room for that.
;;
;; sd.js holds these lines in assembled form. After a change: python .ci/live.py, which compares the two.

(module
  (import "env" "memory" (memory 1))
  (func (export "product")
    (param $a i32) (param $a_row i32)  ;; A, [m, k]: its address, and the bytes from one row to the next
    (param $b i32) (param $b_row i32)  ;; B, [k, n]
    (param $c i32) (param $c_row i32)  ;; C, [m, n]
    (param $m i32) (param $n i32) (param $k i32)
    (local $i i32) (local $j i32) (local $left i32)  ;; the tile's first row and column; how many k are left
    (local $a0 i32) (local $a1 i32) (local $a2 i32) (local $a3 i32)  ;; where the tile's rows of A are read
    (local $bk i32)                                       ;; where row k of B is read
    (local $p0 i32) (local $p1 i32) (local $p2 i32) (local $p3 i32)  ;; where the tile's rows of C are kept
    (local $x v128) (local $left8 v128) (local $right8 v128)
    (local $c0 v128) (local $c1 v128) (local $c2 v128) (local $c3 v128)  ;; the tile's left half, row by row
    (local $d0 v128) (local $d1 v128) (local $d2 v128) (local $d3 v128)  ;; and its right half
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $a0 (i32.add (local.get $a) (i32.mul (local.get $i) (local.get $a_row))))
        (local.set $a1 (i32.add (local.get $a0) (local.get $a_row)))
        (local.set $a2 (i32.add (local.get $a1) (local.get $a_row)))
        (local.set $a3 (i32.add (local.get $a2) (local.get $a_row)))
        (local.set $bk (i32.add (local.get $b) (i32.shl (local.get $j) (i32.const 2))))
        (local.set $p0 (i32.add (i32.add (local.get $c) (i32.mul (local.get $i) (local.get $c_row)))
                                (i32.shl (local.get $j) (i32.const 2))))
        (local.set $p1 (i32.add (local.get $p0) (local.get $c_row)))
        (local.set $p2 (i32.add (local.get $p1) (local.get $c_row)))
        (local.set $p3 (i32.add (local.get $p2) (local.get $c_row)))
        (local.set $c0 (v128.load (local.get $p0))) (local.set $d0 (v128.load offset=16 (local.get $p0)))
        (local.set $c1 (v128.load (local.get $p1))) (local.set $d1 (v128.load offset=16 (local.get $p1)))
        (local.set $c2 (v128.load (local.get $p2))) (local.set $d2 (v128.load offset=16 (local.get $p2)))
        (local.set $c3 (v128.load (local.get $p3))) (local.set $d3 (v128.load offset=16 (local.get $p3)))
        (local.set $left (local.get $k))
        (loop $add
          (local.set $left8 (v128.load (local.get $bk)))
          (local.set $right8 (v128.load offset=16 (local.get $bk)))
          (local.set $x (v128.load32_splat (local.get $a0)))
          (local.set $c0 (f32x4.add (local.get $c0) (f32x4.mul (local.get $x) (local.get $left8))))
          (local.set $d0 (f32x4.add (local.get $d0) (f32x4.mul (local.get $x) (local.get $right8))))
          (local.set $x (v128.load32_splat (local.get $a1)))
          (local.set $c1 (f32x4.add (local.get $c1) (f32x4.mul (local.get $x) (local.get $left8))))
          (local.set $d1 (f32x4.add (local.get $d1) (f32x4.mul (local.get $x) (local.get $right8))))
          (local.set $x (v128.load32_splat (local.get $a2)))
          (local.set $c2 (f32x4.add (local.get $c2) (f32x4.mul (local.get $x) (local.get $left8))))
          (local.set $d2 (f32x4.add (local.get $d2) (f32x4.mul (local.get $x) (local.get $right8))))
          (local.set $x (v128.load32_splat (local.get $a3)))
          (local.set $c3 (f32x4.add (local.get $c3) (f32x4.mul (local.get $x) (local.get $left8))))
          (local.set $d3 (f32x4.add (local.get $d3) (f32x4.mul (local.get $x) (local.get $right8))))
          (local.set $a0 (i32.add (local.get $a0) (i32.const 4)))
          (local.set $a1 (i32.add (local.get $a1) (i32.const 4)))
          (local.set $a2 (i32.add (local.get $a2) (i32.const 4)))
          (local.set $a3 (i32.add (local.get $a3) (i32.const 4)))
          (local.set $bk (i32.add (local.get $bk) (local.get $b_row)))
          (br_if $add (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (v128.store (local.get $p0) (local.get $c0)) (v128.store offset=16 (local.get $p0) (local.get $d0))
        (v128.store (local.get $p1) (local.get $c1)) (v128.store offset=16 (local.get $p1) (local.get $d1))
        (v128.store (local.get $p2) (local.get $c2)) (v128.store offset=16 (local.get $p2) (local.get $d2))
        (v128.store (local.get $p3) (local.get $c3)) (v128.store offset=16 (local.get $p3) (local.get $d3))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 8))) (local.get $n))))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $m))))))
