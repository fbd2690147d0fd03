"""PLACEHOLDER capture"""
